package transcripts

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/integration/testenv"
	"github.com/sallyport/sallyport/mcp"
)

// said is one guard's verdict in a journal.
type said struct {
	Name, Mode, Action, Reason, Error string
}

// receipt is what a transcript shows of a receipt, or of a decision.
type receipt struct {
	Exchange, Direction, Action, Guard, Reason string
	Edited                                     bool
	Guards                                     []said
}

func (r *receipt) text() string {
	s := r.Direction + " " + r.Action
	if r.Action != "allow" {
		if r.Guard == "" {
			r.Guard = "-"
		}
		s += " " + r.Guard + " " + r.Reason
	}
	if r.Edited {
		s += " edited"
	}
	s += "\n"
	for _, g := range r.Guards {
		switch {
		case g.Mode != "" && g.Mode != "enforce":
			s += strings.TrimRight("  "+g.Mode+" "+g.Name+" "+g.Action+" "+g.Reason, " ") + "\n"
		case g.Error != "" && g.Action == "allow":
			s += "  excused " + g.Name + " " + g.Reason + "\n"
		}
	}
	return s
}

func decisions(list []receipt) string {
	var s strings.Builder
	for i := range list {
		s.WriteString(list[i].text())
	}
	return s.String()
}

// ledger collects decisions in process.
type ledger struct {
	mu   sync.Mutex
	list []receipt
}

// Observe implements guard.Observer.
func (l *ledger) Observe(_ context.Context, x *guard.Exchange, _ *mcp.Message, d *guard.Decision) error {
	r := receipt{Exchange: x.ID, Direction: d.Direction.String(), Action: d.Action.String(), Guard: d.Guard, Reason: string(d.Reason), Edited: d.Edited}
	for _, e := range d.Journal {
		g := said{Name: e.Guard, Mode: e.Mode.String(), Action: e.Action.String(), Reason: string(e.Reason)}
		if e.Err != nil {
			g.Error = e.Err.Error()
		}
		r.Guards = append(r.Guards, g)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, r)
	return nil
}

// take returns what was decided since the last call.
func (l *ledger) take(t *testing.T) []receipt {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.list
	l.list = nil
	return oneExchange(t, out)
}

// file reads the receipts that a gateway writes.
type file struct {
	path string
	read int // how many receipts are taken
}

// until waits for the receipt of an exchange, which must be the newest, and
// returns those before it that were not returned yet.
func (f *file) until(t *testing.T, exchange string) []receipt {
	t.Helper()
	var out []receipt
	testenv.Eventually(t, 20*time.Second, "the receipt of exchange "+exchange, func() bool {
		b, err := os.ReadFile(f.path)
		if err != nil {
			t.Fatal(err)
		}
		b = b[:bytes.LastIndexByte(b, '\n')+1]
		if !bytes.Contains(b, []byte(exchange)) {
			return false
		}
		for i, line := range bytes.Split(bytes.TrimSpace(b), []byte("\n")) {
			if i < f.read {
				continue
			}
			var r receipt
			if err := json.Unmarshal(line, &r); err != nil {
				t.Fatalf("%v in %s", err, line)
			}
			out = append(out, r)
		}
		return true
	})
	f.read += len(out)
	if last := out[len(out)-1]; last.Exchange != exchange {
		t.Errorf("a receipt came late: %+v", last)
	}
	return oneExchange(t, out[:len(out)-1])
}

// oneExchange makes sure that what was decided is all about one exchange.
func oneExchange(t *testing.T, list []receipt) []receipt {
	t.Helper()
	for _, r := range list {
		if r.Exchange != list[0].Exchange {
			t.Errorf("receipts of two exchanges, where there was one: %+v", list)
		}
	}
	return list
}
