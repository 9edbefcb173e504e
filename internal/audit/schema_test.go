package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/guardtest"
	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/audit/ledger"
	"github.com/sallyport/sallyport/internal/audit/verify"
	"github.com/sallyport/sallyport/mcp"
)

func compiled(t testing.TB, part string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	s, err := c.Compile("../../docs/receipts.schema.json" + part)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// conforms holds every line against the schema and returns how many there are.
func conforms(t testing.TB, s *jsonschema.Schema, text []byte) int {
	t.Helper()
	n := 0
	for line := range bytes.Lines(text) {
		n++
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
		if err == nil {
			err = s.Validate(v)
		}
		if err != nil {
			t.Errorf("%v\n%s", err, line)
		}
	}
	return n
}

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// everything is a decision with everything in it.
func everything(t testing.TB) (*guard.Exchange, *mcp.Message, *guard.Decision) {
	t.Helper()
	m, f := mcp.NewDecoder(mcp.Config{}).Decode(mcp.ToServer, []byte(`{"jsonrpc":"2.0","id":"a-1","method":"tools/call","params":{"name":"pay","arguments":{"card":"4111111111111111"}}}`))
	edited, f2 := mcp.NewDecoder(mcp.Config{}).Decode(mcp.ToServer, []byte(`{"jsonrpc":"2.0","id":"a-1","method":"tools/call","params":{"name":"pay","arguments":{"card":"masked"}}}`))
	if f != nil || f2 != nil {
		t.Fatal(f, f2)
	}
	x := &guard.Exchange{
		ID: "0123456789abcdef0123456789abcdef", Verb: "POST", Revision: mcp.R20251125, Source: netip.MustParseAddrPort("192.0.2.7:1"),
		Server: guard.Server{Name: "bank", Version: "v2", Clearance: "internal", Tools: map[string]guard.Tool{"pay": {Clearance: "internal"}}}, Headers: guardtest.Headers{"traceparent": traceparent, "authorization": "Bearer secret-token"},
		Principal: guard.Principal{Subject: "alice", Issuer: "https://idp", Agent: "planner", Actors: []string{"planner", "spiffe://x/y"}, Client: "app",
			Tenant: "acme", Task: "t-1", Peer: "spiffe://x/y", TokenID: "secret-jti", Roles: []string{"clerk"}},
	}
	d := &guard.Decision{
		Action: guard.Allow, At: time.Date(2026, 11, 1, 12, 0, 0, 5, time.UTC), Policy: "1.2.0+abc", Edited: true, Message: edited, Took: 42 * time.Microsecond,
		Obligations: []guard.Obligation{{Kind: guard.SetHeader, Name: "x-user", Value: "secret-value"}, {Kind: guard.RetryAfter, Value: "7"}, {Kind: guard.Challenge, Value: "secret"}, {Kind: guard.Constrain, Value: `{"secret":1}`}, {Kind: guard.AddLabel, Name: "pii"}, {Kind: guard.ResponseHeader, Name: "ratelimit", Value: "secret"}, {Kind: guard.Raise, Name: "spike"}},
		Values:      []string{"AbCdEfGhIj0", "-_CdEfGhIj0"}, ValuesCut: true,
		Sources: []guard.Source{{Label: "task:pii", Exchange: "x1", Server: "crm"}, {Label: "task:untrusted", Exchange: "x2", Server: "web"}, {Label: "caller:pii", Exchange: "x1", Server: "crm"}},
		Events:  []guard.Event{{Guard: "anomaly", Kind: "spike", Detail: "7 times the usual"}, {Guard: "budget", Kind: "overrun"}},
		Journal: []guard.Entry{
			{Guard: "envelope", Action: guard.Allow, Took: time.Microsecond},
			{Guard: "dlp", Mode: guard.Shadow, Reason: "denied", Detail: "why", Took: 3 * time.Microsecond, Measures: []guard.Measure{{Name: "mask.credit_card", Value: 2}, {Name: "claims.all", Value: 7}}},
			{Guard: "policy", Action: guard.Allow, Err: errors.New("no answer")},
		},
	}
	return x, &m, d
}

func TestAReceiptSaysWhoWhatAndWhyAndNothingSecret(t *testing.T) {
	x, m, d := everything(t)
	out := &disk{}
	r := audit.New(out, 4, audit.Block, quiet())
	if err := r.Under(audit.Form{Config: "cfg-1", Digest: 1 << 10, Keep: audit.NoContent}).Observe(t.Context(), x, m, d); err != nil {
		t.Fatal(err)
	}
	end(t, r)
	line := out.lines()[0]
	conforms(t, compiled(t, "#/$defs/plain"), []byte(line))
	var got map[string]any
	if err := json.Unmarshal([]byte(line), &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"subject": "alice", "tenant": "acme", "server": "bank", "server_version": "v2", "config": "cfg-1", "policy": "1.2.0+abc", "name": "pay",
		"trace_id": "0af7651916cd43dd8448eb211c80319c", "parent_id": "b7ad6b7169203331", "edited": true, "took_us": 42.0,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if got["params_sha256"] == nil || got["params_sha256"] == got["edited_params_sha256"] {
		t.Errorf("digests: %v, %v", got["params_sha256"], got["edited_params_sha256"])
	}
	if o := got["obligations"].([]any); len(o) != 5 || o[4] != "response_header:ratelimit" || o[0] != "set_header:x-user" {
		t.Errorf("obligations: %v", o)
	}
	if e := got["events"].([]any); len(e) != 2 || e[0].(map[string]any)["detail"] != "7 times the usual" {
		t.Errorf("events: %v", e)
	}
	if m := got["guards"].([]any)[1].(map[string]any)["measures"].(map[string]any); m["mask.credit_card"] != 2.0 || m["claims.all"] != 7.0 {
		t.Errorf("measures: %v", m)
	}
	if s := got["sources"].([]any); len(s) != 2 || len(s[0].(map[string]any)["labels"].([]any)) != 2 {
		t.Errorf("sources: %v", s)
	}
	for _, never := range []string{"4111111111", "masked", "secret"} {
		if strings.Contains(line, never) {
			t.Errorf("%s is in the receipt: %s", never, line)
		}
	}
}

func TestDigestsStopWhereTheyAreToldTo(t *testing.T) {
	x, m, d := everything(t)
	for limit, want := range map[int]bool{0: false, len(m.Params) - 1: false, len(m.Params): true} {
		out := &disk{}
		r := audit.New(out, 4, audit.Block, quiet())
		if err := r.Under(audit.Form{Config: "c", Digest: limit, Keep: audit.NoContent}).Observe(t.Context(), x, m, d); err != nil {
			t.Fatal(err)
		}
		end(t, r)
		if got := strings.Contains(out.lines()[0], `"params_sha256"`); got != want {
			t.Errorf("limit %d: digest %v", limit, got)
		}
	}
}

func TestATraceThatIsNoneIsNotRecorded(t *testing.T) {
	for _, tt := range []struct {
		value string
		want  bool
	}{
		{traceparent, true},
		{"01" + traceparent[2:] + "-more", true},
		{traceparent + "-more", false},
		{"ff" + traceparent[2:], false},
		{strings.ToUpper(traceparent), false},
		{"00-00000000000000000000000000000000-b7ad6b7169203331-01", false},
		{"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false},
		{`00-0af7651916cd43dd8448eb211c80319"-b7ad6b7169203331-01`, false},
		{"", false},
		{"00", false},
	} {
		x, m, d := everything(t)
		x.Headers = guardtest.Headers{"traceparent": tt.value}
		out := &disk{}
		r := audit.New(out, 4, audit.Block, quiet())
		if err := r.Observe(t.Context(), x, m, d); err != nil {
			t.Fatal(err)
		}
		end(t, r)
		if got := strings.Contains(out.lines()[0], `"trace_id"`); got != tt.want {
			t.Errorf("%q: recorded %v", tt.value, got)
		}
	}
}

func TestANameOfMegabytesIsCut(t *testing.T) {
	x, m, d := everything(t)
	x.Principal.Subject = strings.Repeat("é", 1<<20)
	out := &disk{}
	r := audit.New(out, 4, audit.Block, quiet())
	if err := r.Observe(t.Context(), x, m, d); err != nil {
		t.Fatal(err)
	}
	end(t, r)
	line := out.lines()[0]
	if len(line) > 8<<10 || !strings.Contains(line, "é... (2095104 bytes more)") || !json.Valid([]byte(line)) {
		t.Errorf("%d bytes: %.3000s", len(line), line)
	}
}

func keep(t testing.TB, rule audit.WhenFull, change func(*ledger.Options)) (k *audit.Kept, dir string, keys chain.Keys) {
	t.Helper()
	private, public, _, err := chain.GenerateKey()
	keys = chain.Keys{}
	if err != nil || keys.Add(public) != nil {
		t.Fatal(err)
	}
	key, err := chain.ParsePrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(t.TempDir(), "receipts")
	o := ledger.Options{Directory: dir, SegmentSize: 1 << 16, SegmentTime: time.Hour, CheckpointEvery: 10 * time.Millisecond, Key: key, Sinks: func() []string { return []string{"soc"} }, Spool: 1 << 20, Log: quiet(), Now: time.Now}
	if change != nil {
		change(&o)
	}
	if k, err = audit.Keep(o, rule); err != nil {
		t.Fatal(err)
	}
	return k, dir, keys
}

func endKept(t testing.TB, k *audit.Kept) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := k.Close(ctx); err != nil {
		t.Error(err)
	}
}

func TestEveryLineOfALedgerConformsAndVerifies(t *testing.T) {
	k, dir, keys := keep(t, audit.Block, nil)
	x, m, d := everything(t)
	o := k.Under(audit.Form{Config: "cfg-1", Digest: 1 << 10, Keep: audit.NoContent})
	refused := *d
	refused.Action, refused.Reason, refused.Guard, refused.Obligations, refused.Edited = guard.Hold, "needs_approval", "approval", nil, false
	bare := &guard.Exchange{ID: "e"}
	for range 300 {
		for _, c := range []func() error{
			func() error { return o.Observe(t.Context(), x, m, d) },
			func() error { return o.Observe(t.Context(), x, m, &refused) },
			func() error { return o.Observe(t.Context(), bare, nil, decision()) },
		} {
			if err := c(); err != nil {
				t.Fatal(err)
			}
		}
	}
	endKept(t, k)
	if written, dropped, failed := k.Counts(); written != 900 || dropped+failed != 0 {
		t.Errorf("%d written, %d dropped, %d failed", written, dropped, failed)
	}
	files, err := filepath.Glob(dir + "/segment-*")
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	lines, s := 0, compiled(t, "")
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		lines += conforms(t, s, text)
	}
	if lines != 900+2*len(files) {
		t.Errorf("%d lines in %d files", lines, len(files))
	}
	marks, err := os.ReadFile(filepath.Join(dir, ledger.CheckpointFile))
	if err != nil {
		t.Fatal(err)
	}
	conforms(t, compiled(t, "#/$defs/checkpoint"), marks)
	r, err := verify.Directory(dir, verify.Options{Keys: keys})
	if err != nil || !r.OK || r.Receipts != 900 {
		t.Errorf("%v: %+v", err, r)
	}
}

func TestAFullSpoolFollowsItsRule(t *testing.T) {
	for _, rule := range []audit.WhenFull{audit.Block, audit.DropAndCount} {
		t.Run(string(rule), func(t *testing.T) {
			var held atomic.Bool
			k, dir, keys := keep(t, rule, func(o *ledger.Options) {
				o.Spool = 8 << 10
				o.Now = func() time.Time { // the writer looks at the clock in every round
					for held.Load() {
						time.Sleep(time.Millisecond)
					}
					return time.Now()
				}
			})
			held.Store(true)
			x, m, d := everything(t)
			o := k.Under(audit.Form{Config: "c", Digest: 0, Keep: audit.NoContent})
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			failed := 0
			for range 50 {
				if o.Observe(ctx, x, m, d) != nil {
					failed++
				}
			}
			_, dropped, _ := k.Counts()
			if dropped == 0 || (failed > 0) != (rule == audit.Block) || k.Trouble() == nil {
				t.Errorf("%d refused, %d dropped, trouble %v", failed, dropped, k.Trouble())
			}
			held.Store(false)
			eventually(t, "room", func() bool { return k.Trouble() == nil })
			if err := o.Observe(t.Context(), x, m, d); err != nil {
				t.Error(err)
			}
			endKept(t, k)
			r, err := verify.Directory(dir, verify.Options{Keys: keys})
			if err != nil || !r.OK || r.Receipts+r.Lost != 51 || r.Lost != dropped {
				t.Errorf("%v: %+v", err, r)
			}
		})
	}
}

func TestContentIsKeptOnlyWhereItIsAskedFor(t *testing.T) {
	decode := func(text string) *mcp.Message {
		m, f := mcp.NewDecoder(mcp.Config{}).Decode(mcp.ToServer, []byte(text))
		if f != nil {
			t.Fatal(f)
		}
		return &m
	}
	call := decode("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"pay\",\n \"arguments\":{\"to\":\n\"bob\\u0001\",\"hash\":\"x\"}}}")
	large := decode(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","arguments":{"to":"` + strings.Repeat("x", 70<<10) + `"}}}`)
	list := decode(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	for _, tt := range []struct {
		keep audit.Content
		m    *mcp.Message
		want string // of arguments and params
	}{
		{audit.NoContent, call, "absent absent"},
		{audit.Arguments, call, `{"to":"bob\u0001","hash":"x"} absent`},
		{audit.Params, call, `absent {"name":"pay","arguments":{"to":"bob\u0001","hash":"x"}}`},
		{audit.Arguments, large, "absent absent"},
		{audit.Params, large, "absent absent"},
		{audit.Arguments, list, "null absent"},
		{audit.Params, list, "absent null"},
	} {
		out := &disk{}
		r := audit.New(out, 4, audit.Block, quiet())
		x := &guard.Exchange{ID: "0123456789abcdef0123456789abcdef", Server: guard.Server{Name: "bank", Owner: "o", Domain: "d", Classification: "c", Tools: map[string]guard.Tool{"pay": {Risk: "high", Financial: true, External: true}}},
			Principal: guard.Principal{Subject: "alice", AuthTime: time.Unix(1, 5), Expires: time.Unix(9, 0), Strength: "mfa", TaskType: "refund"}}
		d := &guard.Decision{Action: guard.Allow, At: time.Unix(2, 0), Journal: []guard.Entry{{Guard: "policy", Action: guard.Allow, Labels: 2}}}
		if err := r.Under(audit.Form{Config: "", Digest: 0, Keep: tt.keep}).Observe(t.Context(), x, tt.m, d); err != nil {
			t.Fatal(err)
		}
		end(t, r)
		lines := out.lines()
		if len(lines) != 1 {
			t.Fatalf("%s: one receipt on %d lines", tt.keep, len(lines))
		}
		conforms(t, compiled(t, "#/$defs/plain"), []byte(lines[0]))
		var got struct {
			Arguments, Params json.RawMessage
			Roles             []string
			Tool              *struct{ Facts []string }
		}
		if err := json.Unmarshal([]byte(lines[0]), &got); err != nil {
			t.Fatal(err)
		}
		text := func(b json.RawMessage) string {
			if b == nil {
				return "absent"
			}
			return string(b)
		}
		if have := text(got.Arguments) + " " + text(got.Params); have != tt.want {
			t.Errorf("%s of %s: %s, want %s", tt.keep, tt.m.Method, have, tt.want)
		}
		if got.Roles == nil || (got.Tool != nil) != (tt.m.Method == "tools/call") || got.Tool != nil && strings.Join(got.Tool.Facts, " ") != "external financial" {
			t.Errorf("roles %v, tool %+v", got.Roles, got.Tool)
		}
	}
}

func TestContentThatIsSensitiveIsNeverKeptInClear(t *testing.T) {
	x, m, d := everything(t)
	marked := func(t guard.Tool) map[string]guard.Tool { return map[string]guard.Tool{"*": t} }
	for _, tt := range []struct {
		name    string
		tools   map[string]guard.Tool
		journal []guard.Entry
		kept    bool
	}{
		{"nobody says so", nil, d.Journal, true},
		{"a tool that is not", marked(guard.Tool{Financial: true}), d.Journal, true},
		{"the registry says that the tool is", marked(guard.Tool{Sensitive: true}), d.Journal, false},
		{"a guard found something", nil, []guard.Entry{{Guard: "dlp", Action: guard.Allow, Sensitive: true}}, false},
		{"a guard that blocked it", nil, []guard.Entry{{Guard: "dlp", Sensitive: true}}, false},
		{"a guard in shadow", nil, []guard.Entry{{Guard: "dlp", Mode: guard.Shadow, Sensitive: true}}, false},
	} {
		for _, keep := range []audit.Content{audit.Arguments, audit.Params} {
			x.Server.Tools, d.Journal = tt.tools, tt.journal
			out := &disk{}
			r := audit.New(out, 4, audit.Block, quiet())
			if err := r.Under(audit.Form{Config: "", Digest: 0, Keep: keep}).Observe(t.Context(), x, m, d); err != nil {
				t.Fatal(err)
			}
			end(t, r)
			if got := strings.Contains(out.lines()[0], "4111111111111111"); got != tt.kept {
				t.Errorf("%s: %s kept %v", tt.name, keep, got)
			}
		}
	}
}

func TestAReplysReceiptSaysWhatTheServerAnsweredWith(t *testing.T) {
	x, m, d := everything(t)
	for _, tt := range []struct {
		direction mcp.Direction
		status    int
		want      bool
	}{{mcp.ToClient, 502, true}, {mcp.ToClient, 0, false}, {mcp.ToServer, 502, false}} {
		x.Upstream, d.Direction = tt.status, tt.direction
		out := &disk{}
		r := audit.New(out, 4, audit.Block, quiet())
		if err := r.Observe(t.Context(), x, m, d); err != nil {
			t.Fatal(err)
		}
		end(t, r)
		conforms(t, compiled(t, "#/$defs/plain"), []byte(out.lines()[0]))
		if got := strings.Contains(out.lines()[0], `"upstream_status":502`); got != tt.want {
			t.Errorf("%s, %d: %v", tt.direction, tt.status, got)
		}
	}
}
