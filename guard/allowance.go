package guard

import (
	"errors"
	"time"
)

// ErrOverBudget is wrapped by the error of a guard that stopped to look into a
// message because [Exchange.Over] said so. Not on_error but [Host.OverBudget]
// says what that means.
var ErrOverBudget = errors.New("the budget for looking into one message is used up")

// between is how many bytes a guard looks at before the clock is read again.
const between = 4 << 10

// allowance is the time that the guards which look into content have for the
// message that is being judged. Waiting for an answer from outside is not
// counted: it has a limit of its own.
type allowance struct {
	now   func() time.Time // nil: there is no limit
	left  time.Duration
	until time.Time // of the guard that is being asked
	bytes int       // since the clock was read
	over  bool
}

// begin gives a message its time.
func (c *Chain) begin(x *Exchange) {
	x.allowance = allowance{}
	if c.host.Budget > 0 {
		x.allowance = allowance{now: c.host.Now, left: c.host.Budget}
	}
}

// Over reports whether the time is used up that guards may spend on looking into
// this message. A guard whose cost grows with the content calls it between the
// texts that it looks at, with the length of the next; nothing interrupts it.
// Without a limit it costs nothing.
func (x *Exchange) Over(bytes int) bool {
	a := &x.allowance
	if a.now == nil || a.over {
		return a.over
	}
	if a.bytes += bytes; a.bytes >= between {
		a.bytes = 0
		a.over = !a.now().Before(a.until)
	}
	return a.over
}

// spend asks a guard on the message's time.
func (x *Exchange) spend(inspect func() (Verdict, error)) (Verdict, error) {
	a := &x.allowance
	if a.now == nil {
		return inspect()
	}
	if a.left <= 0 {
		return Verdict{}, ErrOverBudget
	}
	began := a.now()
	a.until, a.bytes = began.Add(a.left), between // the first text reads the clock
	v, err := inspect()
	a.left -= a.now().Sub(began)
	a.over = a.over || a.left <= 0
	return v, err
}
