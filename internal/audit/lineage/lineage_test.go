package lineage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var began = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

type rec struct {
	at               int // seconds
	x, who, server   string
	name             string
	reply, refused   bool
	labels, values   string
	cites, citeLabel string
	task             string
}

func list(s string) string {
	if s == "" {
		return "[]"
	}
	return `["` + strings.ReplaceAll(s, " ", `","`) + `"]`
}

func (r rec) line() string {
	who, client, _ := strings.Cut(r.who, "/")
	direction, action := "to_server", "allow"
	if r.reply {
		direction = "to_client"
	}
	if r.refused {
		action = "deny"
	}
	sources := ""
	if r.cites != "" {
		sources = fmt.Sprintf(`,"sources":[{"exchange":%q,"server":"s","labels":%s}]`, r.cites, list(r.citeLabel))
	}
	return fmt.Sprintf(`{"v":1,"time":%q,"exchange":%q,"direction":%q,"action":%q,"server":%q,"subject":%q,"client":%q,"task":%q,"method":"tools/call","name":%q,"labels":%s,"values":%s%s,"guards":[],"took_us":1}`,
		began.Add(time.Duration(r.at)*time.Second).Format(time.RFC3339Nano), r.x, direction, action, r.server, who, client, r.task, r.name, list(r.labels), list(r.values), sources)
}

// files writes receipts as several replicas would.
func files(t *testing.T, replicas ...[]rec) (paths []string) {
	t.Helper()
	dir := t.TempDir()
	for i, all := range replicas {
		var b strings.Builder
		for _, r := range all {
			b.WriteString(r.line() + "\n")
		}
		path := filepath.Join(dir, fmt.Sprintf("replica%d.jsonl", i))
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

// call is a request and its reply.
func call(at int, x, who, server, name, got string) []rec {
	return []rec{{at: at, x: x, who: who, server: server, name: name}, {at: at + 1, x: x, who: who, server: server, name: name, reply: true, values: got}}
}

func names(list []*Call) string {
	var out []string
	for _, c := range list {
		s := c.Exchange + ":" + string(c.Evidence)
		if c.Missing {
			s += "?"
		}
		if c.Again {
			s += "!"
		}
		if len(c.Sources) > 0 {
			s += "(" + names(c.Sources) + ")"
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

// The chain: read a page that says what to do, read a secret, send the secret out;
// each at another replica.
func chain() [][]rec {
	one := call(0, "page", "ann/app", "web", "fetch", "AAAAAAAAAA1")
	one = append(one, call(40, "tea", "ann/app", "crm", "count", "CCCCCCCCCC1")...)
	one = append(one, call(5, "other", "bob/app", "vault", "read", "BBBBBBBBBB1")...)
	two := []rec{
		{at: 10, x: "read", who: "ann/app", server: "vault", name: "read", cites: "page", citeLabel: "caller:untrusted"},
		{at: 11, x: "read", who: "ann/app", server: "vault", name: "read", reply: true, values: "BBBBBBBBBB1 BBBBBBBBBB2", labels: "secret"},
	}
	three := []rec{
		{at: 60, x: "send", who: "ann/app", server: "web", name: "post", values: "ZZZZZZZZZZ1 BBBBBBBBBB1", cites: "read", citeLabel: "caller:secret", refused: true},
	}
	return [][]rec{one, two, three}
}

func TestTheLineageOfASecretThatWasSentOut(t *testing.T) {
	paths := files(t, chain()...)
	o := Options{Window: DefaultWindow, Depth: 8, Most: 50}
	r, err := Of(paths, "send", o)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := names(r.Sources), "read:value(page:label)"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if !r.Fingerprints || r.Subject != "ann" || r.Action != "deny" || r.Sources[0].Values != 1 {
		t.Errorf("%+v", r)
	}
	o.All = true
	if r, err = Of(paths, "send", o); err != nil {
		t.Fatal(err)
	}
	if got, want := names(r.Sources), "read:value(page:label) tea:time(read:time! page:time!) page:time!"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	var b strings.Builder
	if err := r.Write(&b); err != nil || !strings.Contains(b.String(), "1 values of its reply are among the arguments; it brought caller:secret") ||
		!strings.Contains(b.String(), "│  └─ ") || strings.Contains(b.String(), "bob") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

func TestWhatIsNoSource(t *testing.T) {
	base := rec{at: 60, x: "send", who: "ann/app", server: "web", name: "post", values: "BBBBBBBBBB1"}
	for name, c := range map[string]struct {
		other []rec
		want  string
	}{
		"another caller's reply":               {call(0, "a", "bob/app", "vault", "read", "BBBBBBBBBB1"), ""},
		"another client's":                     {call(0, "a", "ann/other", "vault", "read", "BBBBBBBBBB1"), ""},
		"a reply that was refused":             {[]rec{{at: 0, x: "a", who: "ann/app", server: "vault"}, {at: 1, x: "a", who: "ann/app", server: "vault", reply: true, refused: true, values: "BBBBBBBBBB1"}}, ""},
		"a reply that came afterwards":         {call(61, "a", "ann/app", "vault", "read", "BBBBBBBBBB1"), ""},
		"a reply of the day before yesterday":  {call(-200_000, "a", "ann/app", "vault", "read", "BBBBBBBBBB1"), ""},
		"a reply in another task of its token": {[]rec{{at: 1, x: "a", who: "ann/app", server: "vault", reply: true, values: "BBBBBBBBBB1", task: "t"}}, "a:value"},
		"the same reply, in time":              {call(0, "a", "ann/app", "vault", "read", "BBBBBBBBBB1"), "a:value"},
	} {
		r, err := Of(files(t, append(c.other, base)), "send", Options{Window: DefaultWindow, Depth: 3, All: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := names(r.Sources); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestWhatTheGatewayNamedAndNobodyKept(t *testing.T) {
	r, err := Of(files(t, []rec{{at: 9, x: "send", who: "ann/app", server: "web", cites: "gone", citeLabel: "task:pii"}}), "send", Options{Window: time.Hour, Depth: 3})
	if err != nil || names(r.Sources) != "gone:label?" {
		t.Errorf("%v, %v", r, err)
	}
	if _, err := Of(files(t, nil, []rec{{at: 9, x: "send", who: "ann/app"}}), "nothing", Options{Window: time.Hour, Depth: 3}); !errors.Is(err, ErrNone) {
		t.Errorf("%v", err)
	}
}

// A caller who calls a thousand times has no tree of a million branches.
func TestManyCallsMakeASmallTree(t *testing.T) {
	var all []rec
	for i := range 300 {
		all = append(all, call(2*i, fmt.Sprintf("x%03d", i), "ann/app", "crm", "get", "AAAAAAAAAA1")...)
	}
	r, err := Of(files(t, all), "x299", Options{Window: time.Hour, Depth: 8, Most: 50, All: true})
	if err != nil {
		t.Fatal(err)
	}
	var count func(list []*Call) int
	count = func(list []*Call) (n int) {
		for _, c := range list {
			n += 1 + count(c.Sources)
		}
		return n
	}
	if n := count(r.Sources); n > 50*300 || len(r.Sources) != 50 || r.More != 249 {
		t.Errorf("%d nodes, %d of the first, %d more", n, len(r.Sources), r.More)
	}
}

func TestATreeDoesNotSteerTheTerminal(t *testing.T) {
	const evil = "\x1b[2J\u009b1A\n"
	r := &Result{Call: Call{Exchange: evil, Action: evil, Reason: evil, Sources: []*Call{{Exchange: evil, Missing: true}, {Exchange: "e", Brought: []string{evil}}}}, Subject: evil}
	var b strings.Builder
	if err := r.Write(&b); err != nil || strings.ContainsAny(b.String(), "\x1b\u009b") || strings.Count(b.String(), "\n") != 6 {
		t.Errorf("%q, %v", b.String(), err)
	}
}
