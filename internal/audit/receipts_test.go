package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/mcp"
)

// disk is a writer that can be full, slow, or accept a part.
type disk struct {
	mu   sync.Mutex
	text bytes.Buffer
	err  error
	part int           // how many bytes go in before err
	gate chan struct{} // when not nil, each write takes one
	busy chan struct{} // when not nil, gets one as each write begins
}

func (d *disk) Write(p []byte) (int, error) {
	if d.busy != nil {
		d.busy <- struct{}{}
	}
	if d.gate != nil {
		<-d.gate
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		n := min(d.part, len(p))
		d.text.Write(p[:n])
		return n, d.err
	}
	return d.text.Write(p)
}

func (d *disk) set(err error, part int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err, d.part = err, part
}

func (d *disk) lines() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Split(strings.TrimSuffix(d.text.String(), "\n"), "\n")
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func decision() *guard.Decision {
	return &guard.Decision{Action: guard.Allow, At: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)}
}

func observe(t testing.TB, r *audit.Receipts, id string) error {
	t.Helper()
	return r.Observe(t.Context(), &guard.Exchange{ID: id}, nil, decision())
}

func end(t testing.TB, r *audit.Receipts) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.Close(ctx); err != nil {
		t.Error(err)
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: never", what)
		}
	}
}

func TestNamesCannotForgeAReceipt(t *testing.T) {
	const evil = "a\"b\\c\n{\"action\":\"allow\"}\r\u2028\x00\x1b[31m\u202e" + "\xff\xfe" + "\xed\xa0\x80"
	m, f := mcp.NewDecoder(mcp.Config{AnyNames: true}).Decode(mcp.ToServer,
		[]byte(`{"jsonrpc":"2.0","id":"x\"\n\u0000","method":"tools/call","params":{"name":"\"},{\u202e</script>"}}`))
	if f != nil {
		t.Fatal(f)
	}
	x := &guard.Exchange{ID: "e1", Verb: evil, Revision: mcp.R20251125, Source: netip.MustParseAddrPort("192.0.2.7:1")}
	x.Server.Name, x.Principal.Subject = evil, evil
	d := decision()
	d.Action, d.Reason, d.Guard, d.Detail = guard.Deny, evil, evil, evil
	d.Journal = []guard.Entry{{Guard: "envelope", Mode: guard.Shadow, Reason: evil, Detail: evil, Err: errors.New(evil)}}
	out := &disk{}
	r := audit.New(out, 4, audit.Block, quiet())
	if err := r.Observe(t.Context(), x, &m, d); err != nil {
		t.Fatal(err)
	}
	end(t, r)
	lines := out.lines()
	if len(lines) != 1 {
		t.Fatalf("%d lines: %q", len(lines), lines)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &got); err != nil {
		t.Fatalf("%v: %s", err, lines[0])
	}
	if got["action"] != "deny" || got["name"] != "\"},{\u202e</script>" || got["id"] != "x\"\n\x00" || got["method"] != "tools/call" {
		t.Errorf("got %v", got)
	}
	if _, fault := mcp.NewDecoder(mcp.Config{}).Decode(mcp.ToServer, []byte(`{"jsonrpc":"2.0","id":1,"method":"ping","params":`+lines[0]+`}`)); fault != nil {
		t.Errorf("the receipt is not strictly JSON: %v", fault)
	}
}

func TestAReceiptHoldsNoParameters(t *testing.T) {
	m, f := mcp.NewDecoder(mcp.Config{}).Decode(mcp.ToServer, []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","arguments":{"card":"4111111111111111"}}}`))
	if f != nil {
		t.Fatal(f)
	}
	out := &disk{}
	r := audit.New(out, 4, audit.Block, quiet())
	if err := r.Observe(t.Context(), &guard.Exchange{ID: "e"}, &m, decision()); err != nil {
		t.Fatal(err)
	}
	end(t, r)
	if s := out.lines()[0]; strings.Contains(s, "4111") || !strings.Contains(s, `"bytes":`) {
		t.Error(s)
	}
}

func TestAFullQueueFollowsItsRule(t *testing.T) {
	t.Run("drop_and_count goes on and counts", func(t *testing.T) {
		out := &disk{gate: make(chan struct{}), busy: make(chan struct{}, 10)}
		r := audit.New(out, 2, audit.DropAndCount, quiet())
		if err := observe(t, r, "e"); err != nil {
			t.Fatal(err)
		}
		<-out.busy // the writer takes nothing more until the gate opens
		for range 100 {
			if err := observe(t, r, "e"); err != nil {
				t.Fatal(err)
			}
		}
		if _, dropped, _ := r.Counts(); dropped != 98 {
			t.Errorf("dropped %d of 100 with room for 2", dropped)
		}
		close(out.gate)
		end(t, r)
		written, dropped, failed := r.Counts()
		if written+dropped != 101 || failed != 0 || int(written) != len(out.lines()) {
			t.Errorf("%d written, %d dropped, %d failed, %d lines", written, dropped, failed, len(out.lines()))
		}
	})
	t.Run("block waits for room", func(t *testing.T) {
		out := &disk{gate: make(chan struct{})}
		r := audit.New(out, 1, audit.Block, quiet())
		all := make(chan error, 1)
		go func() {
			var err error
			for range 5 {
				err = errors.Join(err, observe(t, r, "e"))
			}
			all <- err
		}()
		close(out.gate)
		if err := <-all; err != nil {
			t.Error(err)
		}
		end(t, r)
		if n := len(out.lines()); n != 5 {
			t.Errorf("%d lines of 5", n)
		}
	})
	t.Run("block refuses when the caller's patience ends", func(t *testing.T) {
		out := &disk{gate: make(chan struct{}), busy: make(chan struct{}, 10)}
		r := audit.New(out, 1, audit.Block, quiet())
		if err := observe(t, r, "e"); err != nil {
			t.Fatal(err)
		}
		<-out.busy // the writer takes nothing more until the gate opens
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		refused := 0
		for range 5 {
			if r.Observe(ctx, &guard.Exchange{ID: "e"}, nil, decision()) != nil {
				refused++
			}
		}
		if refused != 4 {
			t.Errorf("refused %d of 5 with room for 1", refused)
		}
		close(out.gate)
		end(t, r)
		if written, dropped, _ := r.Counts(); int(dropped) != refused || int(written) != 6-refused {
			t.Errorf("%d written, %d dropped, %d refused", written, dropped, refused)
		}
	})
}

func TestADiskThatFailsIsSaidOutLoudAndForgiven(t *testing.T) {
	for _, rule := range []audit.WhenFull{audit.Block, audit.DropAndCount} {
		t.Run(string(rule), func(t *testing.T) {
			out := &disk{err: errors.New("no space left on device"), part: 10}
			r := audit.New(out, 16, rule, quiet())
			if err := observe(t, r, "lost"); err != nil {
				t.Fatal(err) // nothing is known yet
			}
			eventually(t, "the failure is counted", func() bool { _, _, failed := r.Counts(); return failed == 1 })
			if rule == audit.Block {
				eventually(t, "traffic is refused", func() bool { return observe(t, r, "refused") != nil })
			}
			out.set(nil, 0)
			eventually(t, "receipts are kept again", func() bool {
				return observe(t, r, "kept") == nil && strings.Contains(strings.Join(out.lines(), "\n"), `"exchange":"kept"`)
			})
			end(t, r)
			said := false
			for i, line := range out.lines() {
				var v map[string]any
				if err := json.Unmarshal([]byte(line), &v); err != nil && i > 0 {
					t.Errorf("line %d is torn: %q", i, line)
				}
				said = said || v["receipts_lost"] != nil
			}
			if !said {
				t.Errorf("nothing says that receipts are missing:\n%s", strings.Join(out.lines(), "\n"))
			}
		})
	}
}

func TestReceiptsOfManyGoroutinesStayWhole(t *testing.T) {
	before := runtime.NumGoroutine()
	out := &disk{}
	r := audit.New(out, 64, audit.Block, quiet())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 250 {
				if err := observe(t, r, "0123456789abcdef"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	end(t, r)
	lines := out.lines()
	for _, l := range lines {
		if !json.Valid([]byte(l)) {
			t.Fatalf("torn: %q", l)
		}
	}
	if written, dropped, failed := r.Counts(); len(lines) != 2000 || written != 2000 || dropped+failed != 0 {
		t.Errorf("%d lines, %d written, %d dropped, %d failed", len(lines), written, dropped, failed)
	}
	eventually(t, "the writer's goroutine ends", func() bool { return runtime.NumGoroutine() <= before })
}

func TestClosingDoesNotWaitForADiskThatHangs(t *testing.T) {
	out := &disk{gate: make(chan struct{})}
	r := audit.New(out, 4, audit.Block, quiet())
	if err := observe(t, r, "e"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := r.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	close(out.gate)
	eventually(t, "the queue is written after all", func() bool { n, _, _ := r.Counts(); return n == 1 })
}

func TestReceiptsThatWaitForOthersAreAllWrittenInTurn(t *testing.T) {
	for _, n := range []int{1, 3, 2000} {
		out := &disk{}
		r := audit.New(out, 8192, audit.Block, quiet()) // large enough for the writer to linger
		for i := range n {
			if err := observe(t, r, strconv.Itoa(i)); err != nil {
				t.Fatal(err)
			}
		}
		end(t, r) // at once: what waits is not lost
		lines := out.lines()
		if len(lines) != n {
			t.Fatalf("%d lines of %d", len(lines), n)
		}
		for i, line := range lines {
			if !strings.Contains(line, `"exchange":"`+strconv.Itoa(i)+`"`) {
				t.Fatalf("line %d: %s", i, line)
			}
		}
	}
}
