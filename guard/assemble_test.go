package guard_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

type numbers struct{ N int }

func define(name string, reasons ...guard.ReasonInfo) guard.Spec {
	return guard.Define(name, "Does nothing.", numbers{N: 1}, func(c numbers) (guard.Guard, error) {
		if c.N < 0 {
			return nil, errors.New("n: must not be negative")
		}
		return inspect(pass), nil
	}, everything...).WithReasons(reasons...)
}

func setting(mode guard.Mode, n int) guard.Setting {
	return guard.Setting{Mode: mode, Decode: func(c any) error {
		if n != 0 {
			c.(*numbers).N = n
		}
		return nil
	}}
}

func TestAssembleBuildsInOrderWithDefaults(t *testing.T) {
	specs := []guard.Spec{define("a"), define("b"), define("c")}
	members, err := guard.Assemble(specs, func(name string) guard.Setting {
		s := setting(map[string]guard.Mode{"a": guard.Enforce, "b": guard.Off, "c": guard.Shadow}[name], 5)
		if name == "c" {
			s.Timeout, s.OnError = time.Minute, guard.Allow
		}
		return s
	})
	if err != nil || len(members) != 2 {
		t.Fatal(members, err)
	}
	a, c := members[0], members[1]
	if a.Spec.Name != "a" || a.Timeout != guard.DefaultTimeout || a.OnError != guard.Deny || a.Mode != guard.Enforce {
		t.Errorf("a is %+v", a)
	}
	if c.Spec.Name != "c" || c.Timeout != time.Minute || c.OnError != guard.Allow || c.Mode != guard.Shadow {
		t.Errorf("c is %+v", c)
	}
	if n := specs[0].Config.(*numbers).N; n != 1 {
		t.Errorf("the default became %d: a reload would begin with the last configuration", n)
	}
}

func TestAssembleReportsEveryMistakeAtOnce(t *testing.T) {
	info := func(r guard.Reason, status, code int) guard.ReasonInfo {
		return guard.ReasonInfo{Reason: r, Status: status, Code: code, Text: "No.", When: "In tests."}
	}
	unasked := guard.Define("unasked", "Is never asked.", numbers{}, func(numbers) (guard.Guard, error) { return inspect(pass), nil })
	pattern := define("pattern")
	pattern.Wants = []guard.Want{{Method: "tools/*/x"}}
	specs := []guard.Spec{
		define("a", info("mine", 403, -31403)),
		define("a"),
		define("b", info("mine", 403, -31403)),
		define("c", info(guard.TooLarge, 413, -31413)),
		define("negative"),
		define("Quota-2"),
		define("d", info("Not Allowed", 403, -31403)),
		define("e", info("yes_with_status", 302, -31403)),
		define("f", info("reserved", 403, -32001)),
		define("g", guard.ReasonInfo{Reason: "mute", Status: 403, Code: -31403}),
		{Name: "unbuilt"},
		unasked, pattern,
	}
	_, err := guard.Assemble(specs, func(name string) guard.Setting {
		if name == "negative" {
			return setting(guard.Enforce, -1)
		}
		return setting(guard.Enforce, 0)
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`two guards are called "a"`, `"mine" of b belongs to a`, `"message_too_large" of c belongs to the core`,
		"guards.negative: n: must not be negative", `"Quota-2": the name is not in snake_case`, `"Not Allowed" is not in snake_case`,
		"302 does not refuse", "-32001 is reserved", `"mute" lacks a text`, `"unbuilt": there is no Build`,
		"guards.unasked: wants no message", `"tools/*/x" is neither`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing says %q in:\n%v", want, err)
		}
	}
}

func TestNewRefusesMembersItCouldNotUse(t *testing.T) {
	change := func(f func(*guard.Member)) guard.Member {
		m := member("g", inspect(pass))
		f(&m)
		return m
	}
	for name, m := range map[string]guard.Member{
		"no guard":       change(func(m *guard.Member) { m.Guard = nil }),
		"no name":        change(func(m *guard.Member) { m.Spec.Name = "" }),
		"no timeout":     change(func(m *guard.Member) { m.Timeout = 0 }),
		"no such mode":   change(func(m *guard.Member) { m.Mode = 9 }),
		"hold on errors": change(func(m *guard.Member) { m.OnError = guard.Hold }),
		"never asked":    change(func(m *guard.Member) { m.Spec.Wants = nil }),
	} {
		if _, err := guard.New(host(), m); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for name, h := range map[string]guard.Host{
		"no clock":   {Decoder: mcp.NewDecoder(mcp.Config{}), Await: inline},
		"no decoder": {Now: time.Now, Await: inline},
		"no await":   {Now: time.Now, Decoder: mcp.NewDecoder(mcp.Config{})},
	} {
		if _, err := guard.New(h); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
