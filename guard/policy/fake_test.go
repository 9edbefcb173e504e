package policy_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/guardtest"
	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/mcp"
)

// rules is a Decider of Go functions.
type rules struct {
	access, call func(in *policy.Input) policy.Decision
	masks        bool
	mu           sync.Mutex
	asked        []string
}

func yes(*policy.Input) policy.Decision { return policy.Decision{Allow: true} }

func (r *rules) Decide(_ context.Context, s policy.Step, in *policy.Input) (*policy.Decision, error) {
	r.mu.Lock()
	r.asked = append(r.asked, s.String()+" "+in.Direction.String()+" "+in.Method+" "+string(in.Target.Kind)+":"+in.Target.Name)
	r.mu.Unlock()
	if s == policy.Access {
		if in.Params != nil {
			panic("access was shown params")
		}
		d := r.access(in)
		return &d, nil
	}
	d := yes(in)
	if r.call != nil {
		d = r.call(in)
	}
	return &d, nil
}

func (r *rules) Masks() bool      { return r.masks }
func (r *rules) Revision() string { return "test" }

// only allows the targets whose names are listed, and every method without one.
func only(names ...string) func(in *policy.Input) policy.Decision {
	return func(in *policy.Input) policy.Decision {
		if in.Target.Kind == policy.NoTarget {
			return policy.Decision{Allow: true}
		}
		for _, n := range names {
			if in.Target.Name == n {
				return policy.Decision{Allow: true}
			}
		}
		return policy.Decision{Reason: policy.ToolNotAllowed, Detail: "not listed", Hint: "ask"}
	}
}

func chain(t fataler, d policy.Decider, hide bool) *guard.Chain {
	t.Helper()
	spec := policy.Spec(func(policy.Config) (policy.Decider, error) { return d, nil })
	g, err := guardtest.Try(spec, func(c *policy.Config) {
		*c = policy.Default()
		c.Hide = hide
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := guard.New(guard.Host{
		Now: func() time.Time { return time.Unix(1, 0) }, Decoder: mcp.NewDecoder(mcp.Config{}),
		Await: guardtest.Await,
	}, guard.Member{Spec: spec, Guard: g, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func message(t fataler, dir mcp.Direction, text string) *mcp.Message {
	t.Helper()
	m, f := mcp.NewDecoder(mcp.Config{}).Decode(dir, []byte(text))
	if f != nil {
		t.Fatalf("%s: %v", text, f)
	}
	return &m
}

func call(t fataler, tool, arguments string) *mcp.Message {
	if arguments != "" {
		arguments = `,"arguments":` + arguments
	}
	return message(t, mcp.ToServer, `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"`+tool+`"`+arguments+`}}`)
}

func result(t fataler, text string) *mcp.Message {
	return message(t, mcp.ToClient, `{"jsonrpc":"2.0","id":7,"result":`+text+`}`)
}

// exchange is one in which the client asked m.
func exchange(rev mcp.Revision, m *mcp.Message) *guard.Exchange {
	x := &guard.Exchange{ID: "x1", Revision: rev, Server: guard.Server{Name: "crm", Classification: "internal"}}
	if m != nil {
		x.Asked = guard.Asked{Kind: m.Kind, ID: m.ID, Method: m.Method, Name: m.Name}
	}
	return x
}

func asking(rev mcp.Revision, method string) *guard.Exchange {
	x := exchange(rev, nil)
	x.Asked = guard.Asked{Kind: mcp.Request, ID: []byte("7"), Method: method}
	return x
}

func wants(t *testing.T, got, want string) {
	t.Helper()
	if !strings.Contains(got, want) {
		t.Errorf("got %s, want %s in it", got, want)
	}
}

// fataler is a test or a run of a property.
type fataler interface {
	Fatal(...any)
	Fatalf(string, ...any)
	Helper()
}
