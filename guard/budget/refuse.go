package budget

import (
	"strconv"
	"time"

	"github.com/sallyport/sallyport/guard"
)

// String returns the measure as configuration spells it.
func (m Measure) String() string {
	if names := [...]string{"cost", "calls", "bytes", "destructive", "time"}; int(m) < len(names) {
		return names[m]
	}
	return "unknown"
}

func refuse(a *Answer, claims []Claim) guard.Verdict {
	c := &claims[a.Claim]
	l := c.Limit
	if a.Outcome == Unavailable {
		v := guard.Refuse(BudgetUnavailable, "budget "+l.Name+": "+reason(a.Cause))
		v.Obligations = []guard.Obligation{{Kind: guard.RetryAfter, Value: "1"}}
		return v
	}
	v := guard.Refuse(BudgetExhausted, "budget "+l.Name+": "+a.Measure.String())
	hint := "Budget " + l.Name
	if !l.Resting && l.Life > 0 {
		hint += ", of all that this caller opens"
	}
	v.Hint = hint + ": " + left(a, c) + "." + anew(a.After, l.Resting)
	if a.After > 0 {
		v.Obligations = []guard.Obligation{{Kind: guard.RetryAfter, Value: strconv.FormatInt(seconds(a.After), 10)}}
	}
	return v
}

func reason(err error) string {
	if err == nil {
		return "no reason is known"
	}
	return err.Error()
}

// left says what there is too little of.
func left(a *Answer, c *Claim) string {
	of := func(m Measure) int64 { return c.Limit.Max[m] }
	switch m := a.Measure; m {
	case Time:
		return "its time of " + c.Limit.Time.String() + " has passed"
	case Cost:
		return dollars(a.Left) + " of " + dollars(of(m)) + " left, and this call may cost " + dollars(c.Amounts[m])
	case Bytes:
		return strconv.FormatInt(a.Left, 10) + " of " + strconv.FormatInt(of(m), 10) + " bytes left for replies"
	case Destructive:
		return strconv.FormatInt(a.Left, 10) + " of " + strconv.FormatInt(of(m), 10) + " destructive calls left"
	default:
		return strconv.FormatInt(a.Left, 10) + " of " + strconv.FormatInt(of(m), 10) + " calls left"
	}
}

// anew says when an account begins anew.
func anew(after time.Duration, resting bool) string {
	switch {
	case after <= 0:
		return ""
	case resting:
		return " It begins anew after a rest of " + strconv.FormatInt(seconds(after), 10) + " s."
	}
	return " It begins anew in " + strconv.FormatInt(seconds(after), 10) + " s."
}

// seconds is d in whole ones, and at least one: who comes back at once is refused
// again.
func seconds(d time.Duration) int64 {
	return min(999_999_999, max(1, int64((d+time.Second-1)/time.Second)))
}

// event is what people are to be told of.
func event(kind, detail string) guard.Obligation {
	return guard.Obligation{Kind: guard.Raise, Name: kind, Value: detail}
}
