package quota_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/quota"
)

func field(x *guard.Exchange, name string) string {
	for _, f := range x.ReplyFields() {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

func TestHeadersTellACallerOfItsOwnLimitsOnly(t *testing.T) {
	c := judge(t, counting(here(),
		quota.Rule{Name: "mine", By: []string{"principal"}, Limit: rates("20/second, 3/hour")},
		quota.Rule{Name: "ours", By: []string{"tenant"}, Limit: rates("100/hour")},
		quota.Rule{Name: "places", By: []string{"principal", "server"}, InFlight: 9},
		quota.Rule{Name: "theirs", Limit: rates("2/hour"), Tools: []string{"rare"}},
	))
	const policy = `"mine-second";q=20;w=1, "mine-hour";q=3;w=3600, "places";q=9;qu="concurrent-requests"`
	for want := 2; want >= 0; want-- {
		x := exchange("ada", "crm")
		run(t, c, x, tool(t, "x"))
		if p, l := field(x, "ratelimit-policy"), field(x, "ratelimit"); p != policy || l != fmt.Sprintf(`"mine-hour";r=%d;t=3600, "places";r=8;pk=:Y3Jt:`, want) {
			t.Errorf("%s\n%s", p, l)
		}
	}
	x := exchange("ada", "crm")
	d := run(t, c, x, tool(t, "x"))
	r := c.Refusal(x, &d)
	if l := field(x, "ratelimit"); d.Action == guard.Allow || l != `"mine-second";r=0;t=`+r.RetryAfter && l != `"mine-hour";r=0;t=`+r.RetryAfter || field(x, "ratelimit-policy") != policy {
		t.Errorf("%s; Retry-After %s; %s", d.Action, r.RetryAfter, l)
	}
	for range 2 {
		run(t, c, exchange("bob", "crm"), tool(t, "rare"))
	}
	x = exchange("eve", "crm")
	if d = run(t, c, x, tool(t, "rare")); d.Action == guard.Allow || strings.Contains(field(x, "ratelimit")+field(x, "ratelimit-policy"), "theirs") {
		t.Errorf("%s; what others use shows: %s", d.Action, field(x, "ratelimit"))
	}
}

// Whoever has nothing left for one tool may have something left for another.
func TestHeadersSayWhatALimitIsAbout(t *testing.T) {
	c := judge(t, counting(here(),
		quota.Rule{Name: "a", By: []string{"principal", "tool"}, Limit: rates("3/hour")},
		quota.Rule{Name: "b", By: []string{"principal", "method", "server"}, Limit: rates("3/hour")},
	))
	for tool_, want := range map[string]string{
		"x":                      `"a";r=2;t=3600;pk=:` + base64.StdEncoding.EncodeToString([]byte("crm/x")) + `:, "b";r=2;t=3600;pk=:` + base64.StdEncoding.EncodeToString([]byte("crm tools/call")) + ":",
		strings.Repeat("y", 120): `"a";r=2;t=3600, "b";r=2;t=3600;pk=:` + base64.StdEncoding.EncodeToString([]byte("crm tools/call")) + ":",
	} {
		x := exchange(tool_, "crm")
		run(t, c, x, tool(t, tool_))
		if got := field(x, "ratelimit"); got != want {
			t.Errorf("%s", got)
		}
	}
}
