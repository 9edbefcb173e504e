package transcripts

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/integration/testenv"
	"github.com/sallyport/sallyport/internal/audit"
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

	// Of a closing receipt.
	Closed string
	Status int   `json:"upstream_status"`
	In     int64 `json:"messages_to_server"`
	Out    int64 `json:"messages_to_client"`
}

func (r *receipt) text() string {
	if r.Closed != "" {
		s := fmt.Sprintf("%s %d to server, %d to client", strings.TrimSpace(r.Closed+" "+r.Reason), r.In, r.Out)
		if r.Status > 0 {
			s += fmt.Sprintf(", status %d", r.Status)
		}
		return s + "\n"
	}
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
	ends map[string]*receipt // by exchange; nil where there is no closing receipt
}

// Ended implements guard.Witness.
func (l *ledger) Ended(_ context.Context, x *guard.Exchange, o *guard.Outcome) {
	var r *receipt
	if end, due := audit.EndOf(x, o); due {
		r = &receipt{Closed: string(end), Reason: string(o.Reason), Status: x.Upstream, In: o.In, Out: o.Out}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ends == nil {
		l.ends = make(map[string]*receipt)
	}
	l.ends[x.ID] = r
}

// closing returns the closing receipt of what was judged, if it has one.
func (l *ledger) closing(t *testing.T, judged []receipt) string {
	t.Helper()
	if len(judged) == 0 {
		return ""
	}
	var r *receipt
	testenv.Eventually(t, time.Minute, "the end of the exchange", func() (ended bool) {
		l.mu.Lock()
		defer l.mu.Unlock()
		r, ended = l.ends[judged[0].Exchange]
		return ended
	})
	if r == nil {
		return ""
	}
	return r.text()
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
	read int                // how many receipts are taken
	ends map[string]receipt // by exchange
}

// closing returns the closing receipt of what was judged, once there is one if
// expected says so.
func (f *file) closing(t *testing.T, judged []receipt, expected bool) string {
	t.Helper()
	if len(judged) == 0 {
		return ""
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		f.receipts(t)
		if r, ok := f.ends[judged[0].Exchange]; ok {
			return r.text()
		}
		if !expected || time.Now().After(deadline) {
			return ""
		}
	}
}

// receipts returns those that are no closing receipts, which come when they come.
func (f *file) receipts(t *testing.T) (out []receipt) {
	t.Helper()
	b, err := os.ReadFile(f.path)
	if err != nil {
		t.Fatal(err)
	}
	if f.ends == nil {
		f.ends = make(map[string]receipt)
	}
	for line := range bytes.Lines(b[:bytes.LastIndexByte(b, '\n')+1]) {
		var r receipt
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if r.Closed != "" {
			f.ends[r.Exchange] = r
			continue
		}
		out = append(out, r)
	}
	return out
}

// until waits for the receipt of an exchange, which must be the newest, and
// returns those before it that were not returned yet.
func (f *file) until(t *testing.T, exchange string) []receipt {
	t.Helper()
	var out []receipt
	testenv.Eventually(t, time.Minute, "the receipt of exchange "+exchange, func() bool {
		out = f.receipts(t)[f.read:]
		return slices.ContainsFunc(out, func(r receipt) bool { return r.Exchange == exchange })
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
