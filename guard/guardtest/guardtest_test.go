package guardtest_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/guardtest"
	"github.com/sallyport/sallyport/mcp"
)

type config struct {
	Limit int `yaml:"limit" doc:"A limit"`
}

type bare struct {
	Limit int
}

type inspect func(x *guard.Exchange, m *mcp.Message) guard.Verdict

func (f inspect) Inspect(_ context.Context, x *guard.Exchange, m *mcp.Message) (guard.Verdict, error) {
	return f(x, m), nil
}

type settler struct{ inspect }

var note = guard.NewSlot[*int]()

func (settler) Settle(_ context.Context, x *guard.Exchange, _ guard.Outcome) {
	n, _ := note.Get(x)
	*n++
}

type admitter struct{ inspect }

func (admitter) Admit(_ context.Context, x *guard.Exchange) (guard.Verdict, error) {
	_, _ = x.Headers.Get("host")
	return guard.Pass(), nil
}

func spec(g guard.Guard) guard.Spec {
	return guard.Define("broken", "Is broken.", config{}, func(config) (guard.Guard, error) { return g, nil },
		guard.Want{Method: "*", Direction: mcp.ToServer}, guard.Want{Method: "*", Direction: mcp.ToClient})
}

func pass(*guard.Exchange, *mcp.Message) guard.Verdict { return guard.Pass() }

// broken are guards that each break one rule, and what the suite says of them.
func broken() map[string]struct {
	spec guard.Spec
	says string
} {
	type entry = struct {
		spec guard.Spec
		says string
	}
	var calls atomic.Int64
	var kept []byte
	undocumented := spec(inspect(pass))
	undocumented.Config = &bare{}
	shared := spec(inspect(pass))
	shared.Build = func(decode func(any) error) (guard.Guard, error) {
		if err := decode(shared.Config); err != nil {
			return nil, err
		}
		return inspect(pass), nil
	}
	return map[string]entry{
		"an undeclared reason": {spec(inspect(func(*guard.Exchange, *mcp.Message) guard.Verdict { return guard.Refuse("made_up", "") })), "made_up"},
		"a panic on an odd shape": {spec(inspect(func(_ *guard.Exchange, m *mcp.Message) guard.Verdict {
			if s, ok := mcp.Member(m.Result, "tools"); ok && s[0] != '[' {
				panic("tools is a list")
			}
			return guard.Pass()
		})), "tools is a list"},
		"a changed message": {spec(inspect(func(_ *guard.Exchange, m *mcp.Message) guard.Verdict {
			m.Name = "other"
			return guard.Pass()
		})), "changed the message"},
		"bytes changed in place": {spec(inspect(func(_ *guard.Exchange, m *mcp.Message) guard.Verdict {
			if len(m.Raw) > 0 {
				m.Raw[len(m.Raw)-1] = ' '
			}
			return guard.Pass()
		})), "changed the message"},
		"a changed exchange": {spec(inspect(func(x *guard.Exchange, _ *mcp.Message) guard.Verdict {
			x.Principal.Subject = "root"
			return guard.Pass()
		})), "changed the exchange"},
		"an answer that varies": {spec(inspect(func(*guard.Exchange, *mcp.Message) guard.Verdict {
			if calls.Add(1)%2 == 0 {
				return guard.Refuse(guard.InvalidParams, "")
			}
			return guard.Pass()
		})), "then"},
		"a message that is kept": {spec(inspect(func(_ *guard.Exchange, m *mcp.Message) guard.Verdict {
			if len(kept) > 0 && kept[0] == 0xff {
				return guard.Refuse(guard.InvalidParams, "")
			}
			kept = m.Raw
			return guard.Pass()
		})), "after the message was overwritten"},
		"a settler that expects to have been asked": {spec(settler{pass}), "panic in settle"},
		"an admitter that expects headers":          {spec(admitter{pass}), "nil pointer"},
		"a setting without a key":                   {undocumented, "needs a yaml key"},
		"a build over the defaults":                 {shared, "over the defaults"},
		"a pending verdict without end": {spec(inspect(func(*guard.Exchange, *mcp.Message) guard.Verdict {
			var again guard.Verdict
			again.Pending = func(context.Context) (guard.Verdict, error) { return again, nil }
			return again
		})), "pending again"},
	}
}

// The suite runs in a process of its own for each, because it has to fail.
func TestTheSuiteFindsWhatItIsFor(t *testing.T) {
	for name, b := range broken() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestOneBrokenGuard$")
			cmd.Env = append(os.Environ(), "GUARDTEST_BROKEN="+name)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), b.says) {
				t.Errorf("the suite does not say %q (%v):\n%.3000s", b.says, err, out)
			}
		})
	}
}

func TestOneBrokenGuard(t *testing.T) {
	if b, ok := broken()[os.Getenv("GUARDTEST_BROKEN")]; ok {
		guardtest.Run(t, b.spec)
	}
}

func TestAGuardThatKeepsTheRulesPasses(t *testing.T) {
	guardtest.Run(t, spec(inspect(pass)), guardtest.Config{Name: "limited", Set: func(c any) { c.(*config).Limit = 1 }})
}
