package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/audit/keyring"
	"github.com/sallyport/sallyport/internal/audit/verify"
	"github.com/sallyport/sallyport/mcp"
)

func ring(t testing.TB, dir string) *keyring.Ring {
	t.Helper()
	w, err := keyring.NewLocal(strings.Repeat("0f", 32))
	if err != nil {
		t.Fatal(err)
	}
	r, err := keyring.Open(t.Context(), keyring.Options{Directory: dir, Wrappers: []keyring.Wrapper{w}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// written returns the line of one receipt.
func written(t testing.TB, f audit.Form, x *guard.Exchange, m *mcp.Message, d *guard.Decision) string {
	t.Helper()
	out := &disk{}
	r := audit.New(out, 4, audit.Block, quiet())
	if err := r.Under(f).Observe(t.Context(), x, m, d); err != nil {
		t.Fatal(err)
	}
	end(t, r)
	line := out.lines()[0]
	conforms(t, compiled(t, "#/$defs/plain"), []byte(line))
	return line
}

func opened(t testing.TB, line string, r *keyring.Ring) map[string]string {
	t.Helper()
	parts, err := audit.Unseal([]byte(line), r)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, p := range parts {
		out[p.What] = string(p.Plain)
		if p.Err != nil {
			out[p.What] = p.Err.Error()
		}
	}
	return out
}

func TestASealedSubjectStandsNowhereInTheReceipt(t *testing.T) {
	r := ring(t, t.TempDir())
	f := audit.Form{Digest: 1 << 10, Sealing: &audit.Sealing{Ring: r, Subjects: true, Largest: 1 << 16}}
	x, m, d := everything(t)
	x.Principal.Subject, x.Principal.Peer, x.Principal.Client = "alice@acme.example", "CN=alice@acme.example", "app of alice@acme.example"
	x.Principal.Agent, x.Principal.Actors = "alice@acme.example", []string{"planner", "alice@acme.example"}
	m.Name = "user://alice@acme.example/home"
	m.ID = json.RawMessage(`"call of al\u0069ce@acme.example"`)
	d.Detail, d.Events[0].Detail = "budget of alice@acme.example", "alice@acme.example is quick"
	d.Journal[1].Detail, d.Journal[2].Err = "alice@acme.example", errors.New("quota: take alice@acme.example/pay: timeout")
	line := written(t, f, x, m, d)
	for _, never := range []string{"alice", `al\u0069ce`, "192.0.2.7", "CN="} {
		if strings.Contains(line, never) {
			t.Errorf("%s is in the receipt: %s", never, line)
		}
	}
	if got := opened(t, line, r); got["identity"] != `{"subject":"alice@acme.example","source":"192.0.2.7:1","peer":"CN=alice@acme.example"}` {
		t.Errorf("%v", got)
	}
	pseudonym := func(line string) string {
		var got struct{ Pseudonym string }
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		return got.Pseudonym
	}
	one := pseudonym(line)
	if again := pseudonym(written(t, f, x, m, d)); again != one || one == "" {
		t.Errorf("pseudonyms %s, %s", one, again)
	}
	x.Principal.Tenant = "umbrella"
	if other := pseudonym(written(t, f, x, m, d)); other == one {
		t.Error("two tenants can compare whom they know")
	}
	x.Principal = guard.Principal{}
	if line = written(t, f, x, m, d); strings.Contains(line, "192.0.2.7") || pseudonym(line) != "" || opened(t, line, r)["identity"] != `{"source":"192.0.2.7:1"}` {
		t.Errorf("of nobody: %s", line)
	}
}

func TestPayloadsAreKeptByRuleAndAsTheyWentOn(t *testing.T) {
	x, m, d := everything(t)
	reply, fault := mcp.NewDecoder(mcp.Config{}).Decode(mcp.ToClient, []byte(`{"jsonrpc":"2.0","id":"a-1","result":{"content":[{"type":"text","text":"paid"}]}}`))
	if fault != nil {
		t.Fatal(fault)
	}
	x.Asked = guard.Asked{Kind: mcp.Request, Method: "tools/call", Name: "pay"}
	answered := &guard.Decision{Action: guard.Allow, Direction: mcp.ToClient, Message: reply, At: d.At}
	refused := &guard.Decision{Action: guard.Deny, Reason: "denied", At: d.At}
	all := audit.Payload{Arguments: true, Results: true}
	with := func(f func(*audit.Payload)) []audit.Payload { p := all; f(&p); return []audit.Payload{p} }
	for _, tt := range []struct {
		name  string
		rules []audit.Payload
		m     *mcp.Message
		d     *guard.Decision
		want  string
	}{
		{"arguments, masked by a guard", []audit.Payload{all}, m, d, `arguments {"card":"masked"}`},
		{"arguments as they came", with(func(p *audit.Payload) { p.Received = true }), m, d, `arguments {"card":"4111111111111111"}`},
		{"params", with(func(p *audit.Payload) { p.Params = true }), m, d, `params {"name":"pay","arguments":{"card":"masked"}}`},
		{"a refused call", []audit.Payload{all}, m, refused, ""},
		{"a refused call as it came", with(func(p *audit.Payload) { p.Received = true }), m, refused, `arguments {"card":"4111111111111111"}`},
		{"a result", []audit.Payload{all}, &reply, answered, `result {"content":[{"type":"text","text":"paid"}]}`},
		{"no results", with(func(p *audit.Payload) { p.Results = false }), &reply, answered, ""},
		{"another tenant's", with(func(p *audit.Payload) { p.Tenants = []string{"umbrella"} }), m, d, ""},
		{"another server's", with(func(p *audit.Payload) { p.Servers = []string{"crm"} }), m, d, ""},
		{"another tool's", with(func(p *audit.Payload) { p.Tools = []string{"find*"} }), m, d, ""},
		{"the tool's, also of the reply", with(func(p *audit.Payload) { p.Tools = []string{"pa*"} }), &reply, answered, `result {"content":[{"type":"text","text":"paid"}]}`},
		{"the first that fits", append(with(func(p *audit.Payload) { p.Arguments = false }), all), m, d, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := ring(t, t.TempDir())
			line := written(t, audit.Form{Sealing: &audit.Sealing{Ring: r, Payloads: tt.rules, Largest: 1 << 10}}, x, tt.m, tt.d)
			got := ""
			for what, plain := range opened(t, line, r) {
				got += what + " " + plain
			}
			if got != tt.want || strings.Contains(line, "4111") || strings.Contains(line, "paid") {
				t.Errorf("%s, want %s\n%s", got, tt.want, line)
			}
		})
	}
	small := written(t, audit.Form{Sealing: &audit.Sealing{Ring: ring(t, t.TempDir()), Payloads: []audit.Payload{all}, Largest: 4}}, x, m, d)
	if !strings.Contains(small, `"sealed":[{"what":"arguments","as":"forwarded","bytes":17}]`) {
		t.Errorf("what is too large: %s", small)
	}
}

// A tenant's key is destroyed: its payloads and people are gone, another tenant's
// are not, and the directory verifies as before.
func TestAnErasedTenantLeavesAChainThatVerifies(t *testing.T) {
	k, dir, keys := keep(t, audit.Block, nil)
	r := ring(t, t.TempDir())
	o := k.Under(audit.Form{Sealing: &audit.Sealing{Ring: r, Subjects: true, Payloads: []audit.Payload{{Arguments: true}}, Largest: 1 << 10}})
	x, m, d := everything(t)
	for i := range 20 {
		x.Principal.Tenant = []string{"acme", "umbrella"}[i%2]
		if err := o.Observe(t.Context(), x, m, d); err != nil {
			t.Fatal(err)
		}
	}
	endKept(t, k)
	count := func() (acme, umbrella int) {
		err := verify.Query(dir, verify.Filter{}, func(_ verify.Place, line []byte) (bool, error) {
			if got := opened(t, string(line), r); strings.Contains(got["identity"], "alice") && strings.Contains(got["arguments"], "masked") {
				if bytes.Contains(line, []byte(`"tenant":"acme"`)) {
					acme++
				} else {
					umbrella++
				}
			}
			return true, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return acme, umbrella
	}
	if a, u := count(); a != 10 || u != 10 {
		t.Fatal(a, u)
	}
	before, err := os.ReadFile(filepath.Join(dir, "segment-00000001.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if ids, err := r.Destroy(t.Context(), func(k *keyring.Key) bool { return k.Owner.Tenant == "acme" }); err != nil || len(ids) != 2 {
		t.Fatal(ids, err)
	}
	if a, u := count(); a != 0 || u != 10 {
		t.Errorf("%d of acme and %d of umbrella open", a, u)
	}
	report, err := verify.Directory(dir, verify.Options{Keys: keys})
	if err != nil || !report.OK || report.Receipts != 20 {
		t.Errorf("%v: %+v", err, report)
	}
	if after, _ := os.ReadFile(filepath.Join(dir, "segment-00000001.jsonl")); !bytes.Equal(before, after) {
		t.Error("the receipts changed")
	}
}

func TestASealedPayloadOpensInItsOwnReceiptOnly(t *testing.T) {
	r := ring(t, t.TempDir())
	f := audit.Form{Sealing: &audit.Sealing{Ring: r, Subjects: true, Payloads: []audit.Payload{{Arguments: true}}, Largest: 1 << 10}}
	x, m, d := everything(t)
	mine := written(t, f, x, m, d)
	sealed := func(line string) string {
		return line[strings.Index(line, `,"sealed":`):strings.Index(line, `,"took_us":42}`)]
	}
	for name, change := range map[string]func(){
		"another call":             func() { x.ID = strings.Repeat("f", 32) },
		"a later message":          func() { d.At = d.At.Add(time.Nanosecond) },
		"another tenant's call":    func() { x.Principal.Tenant = "umbrella" },
		"the reply":                func() { d.Direction = mcp.ToClient },
		"another person's receipt": func() { x.Principal.Subject = "mallory"; x.ID = strings.Repeat("e", 32) },
	} {
		x, m, d = everything(t)
		change()
		other := written(t, f, x, m, d)
		swapped := strings.Replace(other, sealed(other), sealed(mine), 1)
		for what, got := range opened(t, swapped, r) {
			if got != keyring.ErrBox.Error() {
				t.Errorf("in the receipt of %s, %s opens as %s", name, what, got)
			}
		}
	}
	if got := opened(t, mine, r); got["arguments"] != `{"card":"masked"}` {
		t.Errorf("the test tells nothing: %v", got)
	}
}

func TestWithoutAKeyNothingIsWrittenInClear(t *testing.T) {
	dir := t.TempDir()
	r := ring(t, dir)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	x, m, d := everything(t)
	for _, rule := range []audit.WhenFull{audit.Block, audit.DropAndCount} {
		out := &disk{}
		rec := audit.New(out, 4, rule, quiet())
		err := rec.Under(audit.Form{Sealing: &audit.Sealing{Ring: r, Subjects: true}}).Observe(t.Context(), x, m, d)
		if (err != nil) != (rule == audit.Block) {
			t.Errorf("%s: %v", rule, err)
		}
		end(t, rec)
		if _, dropped, _ := rec.Counts(); dropped != 1 || strings.Contains(out.text.String(), "alice") {
			t.Errorf("%s: %d dropped, %s", rule, dropped, out.text.String())
		}
	}
}

func FuzzUnseal(f *testing.F) {
	r := ring(f, f.TempDir())
	x, m, d := everything(f)
	out := &disk{}
	rec := audit.New(out, 4, audit.Block, quiet())
	if err := rec.Under(audit.Form{Sealing: &audit.Sealing{Ring: r, Subjects: true, Payloads: []audit.Payload{{Arguments: true}}, Largest: 1 << 10}}).Observe(f.Context(), x, m, d); err != nil {
		f.Fatal(err)
	}
	end(f, rec)
	good := out.lines()[0]
	f.Add(good)
	f.Add(`{"sealed":[{"what":"identity","keys":[],"box":""}]}`)
	whole, err := audit.Unseal([]byte(good), r)
	if err != nil || len(whole) != 2 {
		f.Fatal(whole, err)
	}
	f.Fuzz(func(t *testing.T, line string) {
		parts, err := audit.Unseal([]byte(line), r)
		if err != nil {
			return
		}
		for _, p := range parts { // nothing opens that was not sealed
			if p.Plain != nil && !bytes.Equal(p.Plain, whole[0].Plain) && !bytes.Equal(p.Plain, whole[1].Plain) {
				t.Errorf("%q opens as %q", line, p.Plain)
			}
		}
	})
}
