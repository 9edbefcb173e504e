package identity

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/oauth"
	"github.com/sallyport/sallyport/integration/peers"
	"github.com/sallyport/sallyport/integration/peers/scenario"
	"github.com/sallyport/sallyport/integration/testenv"
)

// What each SDK tells its user of each refusal is in docs/identity.md as a table,
// which this test makes (UPDATE=1) and holds to.
const page = "docs/identity.md"

// refusal is one way of not being let in.
type refusal struct {
	name  string
	token string // empty: none is sent
	tool  string // what is called, where the session is let in
}

// None hangs, and none gets through; what its user sees is written down.
func TestWhatEverySDKTellsOfARefusal(t *testing.T) {
	i := testenv.StartIssuer(t)
	address := oauth.Address(t)
	public := "http://" + address
	crm := public + "/mcp/crm"
	g := oauth.Gateway(t, address, fmt.Sprintf("guards:\n  identity:\n    public_url: %s\n    issuers: [{url: %q, scopes: [crm.read]}]\n", public, i.URL))
	good := func(more map[string]any) string {
		claims := map[string]any{"roles": []string{"support"}, "scope": "crm.read", "auth_time": time.Now().Add(-time.Hour).Unix()}
		for k, v := range more {
			claims[k] = v
		}
		return i.Token(t, crm, 10*time.Minute, claims)
	}
	refusals := []refusal{
		{name: "no token"},
		{name: "expired token", token: i.Token(t, crm, -time.Minute, nil)},
		{name: "token for another server", token: i.Token(t, public+"/mcp/data", time.Minute, nil)},
		{name: "token of another certificate", token: good(map[string]any{"cnf": map[string]any{"x5t#S256": strings.Repeat("A", 43)}})},
		{name: "revoked", token: good(map[string]any{"jti": "stolen"})},
		{name: "a scope is missing", token: good(nil), tool: "change"},
		{name: "a fresh login is needed", token: good(nil), tool: "wipe"},
	}
	revoke(t, g, "token", "stolen")
	rows := make([]string, len(refusals))
	for n, r := range refusals {
		rows[n] = "| " + r.name
	}
	for _, c := range peers.Clients() {
		run := c.Start(t)
		for n, r := range refusals {
			var told []string
			for _, era := range c.Eras {
				plan := scenario.Plan{Era: era, Token: r.token, ListTools: true}
				if r.tool != "" {
					plan.Call = &scenario.Call{Name: "look", Arguments: map[string]any{}, Want: "done"}
					plan.Refused = &scenario.Call{Name: r.tool, Arguments: map[string]any{}}
				}
				steps := run(t, crm, plan)
				t.Logf("%s, %s, %s:\n%s", c.Name, era, r.name, steps)
				words := saw(t, r, steps)
				if !slices.Contains(told, words) {
					told = append(told, words)
				}
			}
			rows[n] += " | " + strings.Join(told, "; ")
		}
	}
	table := "| refused because | go-sdk | mcp-go | TypeScript 1.x | TypeScript 2.x | Python |\n|---|---|---|---|---|---|\n" + strings.Join(rows, " |\n") + " |\n"
	held(t, table)
	for reason, n := range map[string]int{"unauthenticated": 4, "identity_revoked": 1, "insufficient_scope": 1, "reauthentication_required": 1} {
		if seen := strings.Count(oauth.Receipts(t, g, `"reason":"`+reason+`"`), `"reason":"`+reason+`"`); seen < n*len(peers.Clients()) {
			t.Errorf("%d receipts say %s", seen, reason)
		}
	}
}

// saw returns what the user of an SDK saw of a refusal, and holds it to being
// one: an error with words, after which what is allowed still works.
func saw(t *testing.T, r refusal, steps scenario.Steps) string {
	t.Helper()
	for _, s := range steps {
		switch {
		case s.Name == "refused":
			if s.Error == nil || s.Error.Message == "" {
				t.Errorf("%s: %s", r.name, s)
				continue
			}
			if after := steps.Get("call_after_refused"); !after.OK {
				t.Errorf("%s: what is allowed does not work afterwards: %s", r.name, after)
			}
			return words(s.Error)
		case r.tool == "" && s.Error != nil:
			return words(s.Error)
		case r.tool != "" && !s.OK:
			t.Errorf("%s: %s", r.name, s)
		}
	}
	t.Errorf("%s: was not refused:\n%s", r.name, steps)
	return ""
}

// words are those of an error, without what differs from call to call.
func words(f *scenario.Fault) string {
	text := strings.NewReplacer("\n", " ", "|", "/").Replace(f.Message)
	if n := strings.Index(text, `{"jsonrpc"`); n >= 0 {
		text = strings.TrimSpace(text[:n]) + " and the whole body"
	}
	if f.Code != 0 && !strings.Contains(text, fmt.Sprint(f.Code)) {
		text += fmt.Sprintf(" (%d)", f.Code)
	}
	return text
}

// held compares the table with the page's, or writes it there.
func held(t *testing.T, table string) {
	t.Helper()
	path := filepath.Join(testenv.Root(), page)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	from := strings.Index(text, "| refused because |")
	if from < 0 {
		t.Fatalf("%s has no such table", page)
	}
	to := len(text)
	if end := strings.Index(text[from:], "\n\n"); end >= 0 {
		to = from + end + 1
	}
	switch {
	case text[from:to] == table:
	case os.Getenv("UPDATE") == "1":
		testenv.Write(t, path, text[:from]+table+text[to:])
	default:
		t.Errorf("%s says otherwise; UPDATE=1 writes it there:\n%s", page, table)
	}
}
