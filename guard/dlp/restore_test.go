package dlp_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/dlp"
	"github.com/sallyport/sallyport/internal/sealed"
	"github.com/sallyport/sallyport/mcp"
)

type sealer struct{ keys *sealed.Keys }

func (s sealer) Seal(owner [32]byte, value string) (string, bool) {
	o := sealed.Owner(owner)
	return s.keys.Seal('d', &o, value)
}

func (s sealer) Open(owner [32]byte, token string) (string, bool) {
	o := sealed.Owner(owner)
	return s.keys.Open('d', &o, token)
}

func restoring(t testing.TB, key string, set func(*dlp.Config)) guard.Guard {
	t.Helper()
	return restoringWith(t, key, set, func(s dlp.Sealer) dlp.Sealer { return s })
}

func restoringWith(t testing.TB, key string, set func(*dlp.Config), around func(dlp.Sealer) dlp.Sealer) guard.Guard {
	t.Helper()
	p := ports
	p.Secret = func(string) ([]byte, error) { return []byte(key), nil }
	p.Tokens = func(key []byte) (dlp.Sealer, error) {
		k, err := sealed.New([]string{string(key)})
		return around(sealer{k}), err
	}
	g, err := dlp.Spec(p).Build(func(c any) error {
		d := c.(*dlp.Config)
		d.Key, d.RestoreFor, d.Rules = "env:KEY", time.Hour, nil
		d.ToClient = dlp.Actions{PII: "tokenise", Secret: "tokenise"}
		if set != nil {
			set(d)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// at is where and when a message passes.
type at struct {
	server, tenant string
	hours          float64
	who            guard.Principal // ada where nobody is named
}

var home = at{server: "crm", tenant: "acme"}

// pass returns the message as it goes on.
func pass(t testing.TB, g guard.Guard, d mcp.Direction, where at, raw string) (string, guard.Verdict) {
	t.Helper()
	m, f := decoder.Decode(d, []byte(raw))
	if f != nil {
		t.Fatalf("%s: %v", raw, f)
	}
	x := &guard.Exchange{Server: guard.Server{Name: where.server}, Principal: where.principal(),
		Asked: guard.Asked{Name: "lookup"}, Started: time.Unix(1_793_534_400, 0).Add(time.Duration(where.hours * float64(time.Hour)))}
	v, err := g.Inspect(t.Context(), x, &m)
	if err != nil {
		t.Fatal(err)
	}
	if v.Action != guard.Allow {
		return "", v
	}
	out, err := decoder.Apply(&m, v.Edits...)
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return string(out.Raw), v
}

const mail = "anna@mail.example"

// get has the server say something, and returns what the client reads of it.
func get(t testing.TB, g guard.Guard, where at, said string) string {
	t.Helper()
	out, _ := pass(t, g, mcp.ToClient, where, answer+`{"content":[{"type":"text","text":`+string(mcp.AppendQuote(nil, said))+`}]}}`)
	var r struct {
		Result struct{ Content []struct{ Text string } }
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil || len(r.Result.Content) != 1 {
		t.Fatalf("%s: %v", out, err)
	}
	return r.Result.Content[0].Text
}

// send has the client say something, and returns what the server reads of it.
func send(t testing.TB, g guard.Guard, where at, says string) string {
	t.Helper()
	out, _ := pass(t, g, mcp.ToServer, where, call+`{"q":`+string(mcp.AppendQuote(nil, says))+`}}}`)
	var r struct {
		Params struct{ Arguments struct{ Q string } }
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	return r.Params.Arguments.Q
}

func TestATokenComesBackToItsServerAsTheValue(t *testing.T) {
	g := restoring(t, "0123456789abcdef0123456789abcdef", nil)
	token := get(t, g, home, mail)
	if !strings.HasPrefix(token, "tok_email_address.") || strings.Contains(token, "anna") {
		t.Fatalf("token %q", token)
	}
	if again := get(t, g, home, "write to "+mail+" now"); again != "write to "+token+" now" {
		t.Errorf("equal values have %q and %q", again, token)
	}
	for says, want := range map[string]string{
		token:                            mail,
		"to: " + token + ", cc " + token: "to: " + mail + ", cc " + mail,
		token + ".":                      mail + ".",
		"x" + token:                      "x" + token, // part of a longer word is none
		token + "x":                      token + "x",
		token[:len(token)-1]:             token[:len(token)-1],
		strings.ToUpper(token):           strings.ToUpper(token),
		"tok_email_address.":             "tok_email_address.",
		"tok_" + token:                   "tok_" + token,
		strings.Replace(token, "email_address", "phone_number", 1): strings.Replace(token, "email_address", "phone_number", 1),
	} {
		if got := send(t, g, home, says); got != want {
			t.Errorf("%s became %s, not %s", says, got, want)
		}
	}
}

func TestWhereATokenStaysAToken(t *testing.T) {
	const key = "0123456789abcdef0123456789abcdef"
	g := restoring(t, key, nil)
	token := get(t, g, home, mail)
	for name, where := range map[string]at{
		"another server gets it":                   {server: "web", tenant: "acme"},
		"a caller of another tenant sends it":      {server: "crm", tenant: "evil"},
		"a caller of no tenant sends it":           {server: "crm"},
		"it is replayed long after":                {server: "crm", tenant: "acme", hours: 2.5},
		"it is of a time to come":                  {server: "crm", tenant: "acme", hours: -3},
		"the names of server and tenant are mixed": {server: "crma", tenant: "cme"},
	} {
		if got := send(t, g, where, token); got != token {
			t.Errorf("%s: %q", name, got)
		}
	}
	for _, hours := range []float64{0, 0.5, 1} {
		if got := send(t, g, at{server: "crm", tenant: "acme", hours: hours}, token); got != mail {
			t.Errorf("after %v hours: %q", hours, got)
		}
	}
	if got := send(t, restoring(t, "another key, another key, another", nil), home, token); got != token {
		t.Errorf("a gateway with another key: %q", got)
	}
}

func (a at) principal() guard.Principal {
	p := a.who
	if p.IsAnonymous() {
		p = guard.Principal{Subject: "ada", Issuer: "https://idp"}
	}
	p.Tenant = a.tenant
	return p
}

// A token stands in a shared document. Who reads it there must not have a tool say, or
// send, what was kept from him.
func TestATokenThatAnotherPersonLearntIsAWordToHim(t *testing.T) {
	const key = "0123456789abcdef0123456789abcdef"
	by := func(p guard.Principal) at { return at{server: "crm", tenant: "acme", who: p} }
	ada, bob := guard.Principal{Subject: "ada", Issuer: "https://idp"}, guard.Principal{Subject: "bob", Issuer: "https://idp"}
	for name, tt := range map[string]struct {
		who guard.Principal
		her bool // it is ada
	}{
		"the same person":                     {ada, true},
		"an agent that acts for her":          {guard.Principal{Subject: "ada", Issuer: "https://idp", Agent: "helper", Actors: []string{"helper", "planner"}, Client: "app", Task: "t"}, true},
		"from another machine":                {guard.Principal{Subject: "ada", Issuer: "https://idp", Peer: "spiffe://x/y"}, true},
		"somebody else":                       {bob, false},
		"somebody else, with ada as actor":    {guard.Principal{Subject: "bob", Issuer: "https://idp", Agent: "ada", Actors: []string{"ada"}}, false},
		"another ada, of another issuer":      {guard.Principal{Subject: "ada", Issuer: "https://other"}, false},
		"a client that is called as she is":   {guard.Principal{Client: "ada", Issuer: "https://idp"}, false},
		"a workload that is called as she is": {guard.Principal{Peer: "ada"}, false},
		"the same text, cut elsewhere":        {guard.Principal{Subject: "pada", Issuer: "https://id"}, false},
	} {
		for _, to := range []string{"principal", "tenant"} {
			g := restoring(t, key, func(c *dlp.Config) { c.RestoreTo = to })
			token := get(t, g, by(ada), mail)
			want := token
			if tt.her || to == "tenant" {
				want = mail
			}
			if got := send(t, g, by(tt.who), token); got != want {
				t.Errorf("%s, bound to %s: %q", name, to, got)
			}
		}
	}
	g := restoring(t, key, nil)
	if get(t, g, by(ada), mail) == get(t, g, by(bob), mail) {
		t.Error("two people can compare what was kept from them")
	}
	wide := restoring(t, key, func(c *dlp.Config) { c.RestoreTo = "tenant" })
	if got := send(t, g, by(ada), get(t, wide, by(ada), mail)); !strings.HasPrefix(got, "tok_") {
		t.Errorf("a token that was bound to the tenant: %q", got)
	}
}

func TestAForgedTokenIsNoValue(t *testing.T) {
	g := restoring(t, "0123456789abcdef0123456789abcdef", nil)
	token := get(t, g, home, mail)
	for i := len("tok_email_address."); i < len(token); i++ {
		forged := []byte(token)
		if forged[i] ^= 1; !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", rune(forged[i])) {
			forged[i] = 'A'
		}
		if string(forged) == token {
			continue
		}
		if got := send(t, g, home, string(forged)); got != string(forged) {
			t.Errorf("byte %d changed, and it is %q", i, got)
		}
	}
}

// A value may hold what would end a text or begin another member.
func TestAValueThatLooksLikeJSONStaysAText(t *testing.T) {
	g := restoring(t, "0123456789abcdef0123456789abcdef", func(c *dlp.Config) { c.Recognisers = []string{"own.yaml"} })
	token := get(t, g, home, "EMP-123456")
	if got := send(t, g, home, `\"`+token+`\n"`); got != `\"EMP-123456\n"` {
		t.Errorf("%q", got)
	}
	private := "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\nMzEfYyjiWA4R4/M2bS1GB4t7NXp98C3SC6dVMvDuictGeurT8jNbvJZHtCSuYEvu\n-----END PRIVATE KEY-----"
	token = get(t, g, home, private)
	if got := send(t, g, home, token); got != private {
		t.Errorf("%q became %q", token, got)
	}
}

// The value that is put back was the server's own; it is no finding on its way
// there, and receipts keep nothing of it in clear.
func TestWhatIsPutBackIsNotBlocked(t *testing.T) {
	g := restoring(t, "0123456789abcdef0123456789abcdef", func(c *dlp.Config) { c.ToServer = dlp.Actions{PII: "block", Secret: "block"} })
	key := get(t, g, home, token)
	out, v := pass(t, g, mcp.ToServer, home, call+`{"q":"`+key+`"}}}`)
	if !strings.Contains(out, token) || !v.Sensitive || !slices.ContainsFunc(v.Measures, func(m guard.Measure) bool { return m.Name == "restored" && m.Value == 1 }) {
		t.Errorf("%s, %+v", out, v)
	}
	if strings.Contains(v.Detail, token) {
		t.Errorf("the detail shows it: %s", v.Detail)
	}
	if _, v := pass(t, g, mcp.ToServer, home, call+`{"q":"`+key+` and `+token+`"}}}`); v.Action != guard.Deny {
		t.Errorf("the same secret in clear beside it: %+v", v)
	}
	if _, v := pass(t, g, mcp.ToClient, home, answer+`{"content":[{"type":"text","text":"`+token+`"}]}}`); slices.ContainsFunc(v.Obligations, func(o guard.Obligation) bool { return o.Name == "secret" }) {
		t.Errorf("who reads a token has read no secret: %+v", v.Obligations)
	}
}

// What names the target is judged as it is, so it is not another one afterwards.
func TestATokenNeverNamesTheTarget(t *testing.T) {
	g := restoring(t, "0123456789abcdef0123456789abcdef", nil)
	token := get(t, g, home, mail)
	raw := `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"mail:` + token + `"}}`
	if out, _ := pass(t, g, mcp.ToServer, home, raw); out != raw {
		t.Errorf("%s", out)
	}
}

func TestRestoringThatCannotBeMeant(t *testing.T) {
	for want, set := range map[string]func(*dlp.Config){
		"restore_for: needs key":     func(c *dlp.Config) { c.RestoreFor = time.Hour },
		"restore_bound_to: has no":   func(c *dlp.Config) { c.RestoreTo = "tenant" },
		"restore_for: has no effect": func(c *dlp.Config) { c.RestoreFor, c.Key, c.ToServer.PII = time.Hour, "env:KEY", "tokenise" },
	} {
		_, err := dlp.Spec(ports).Build(func(c any) error { set(c.(*dlp.Config)); return nil })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// counting counts how often somebody has a token opened.
type counting struct {
	dlp.Sealer
	opened *int
}

func (c counting) Open(owner [32]byte, token string) (string, bool) {
	*c.opened++
	return c.Sealer.Open(owner, token)
}

// Each try costs two hashes and more, and eight bytes of a message have one made.
func TestAFloodOfWhatLooksLikeTokensCostsLittle(t *testing.T) {
	opened := 0
	g := restoringWith(t, "0123456789abcdef0123456789abcdef", nil, func(s dlp.Sealer) dlp.Sealer { return counting{s, &opened} })
	flood := strings.Repeat("tok_a.x ", 100_000)
	if got := send(t, g, home, flood); got != flood || opened == 0 || opened > 4000 {
		t.Errorf("%d tries", opened)
	}
	token := get(t, g, home, mail)
	if got := send(t, g, home, "tok_a.x "+token); got != "tok_a.x "+mail {
		t.Errorf("behind what is none: %q", got)
	}
}
