package audit_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/mcp"
)

// A receipt about a URI that is not shown as a whole has a digest by which the same
// URI is found again, and which nobody can try guesses against without the key.
func TestAURIThatIsNotShownAsAWholeIsFoundByItsDigest(t *testing.T) {
	decoder := mcp.NewDecoder(mcp.Config{})
	digest := func(key, tenant, uri string) string {
		t.Helper()
		m, f := decoder.Decode(mcp.ToServer, []byte(`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"`+uri+`"}}`))
		if f != nil {
			t.Fatal(f)
		}
		out := &disk{}
		r := audit.New(out, 4, audit.Block, quiet())
		x := &guard.Exchange{ID: "e", Principal: guard.Principal{Tenant: tenant}, Asked: guard.Asked{Method: m.Method, Name: m.Name, Clear: m.InClear()}}
		if err := r.Under(audit.Form{Names: []byte(key)}).Observe(t.Context(), x, &m, &guard.Decision{Action: guard.Allow, At: time.Now()}); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		line := out.lines()[0]
		conforms(t, compiled(t, "#/$defs/plain"), []byte(line))
		if strings.Contains(line, "s3cr3t") {
			t.Errorf("in clear: %s", line)
		}
		var got struct {
			HMAC string `json:"name_hmac"`
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		return got.HMAC
	}
	const key = "0123456789abcdef"
	one := digest(key, "acme", "crm://h/a?s3cr3t")
	for what, same := range map[string]bool{
		digest(key, "acme", "crm://h/a?s3cr3t"):                true,
		digest(key, "acme", "CRM://H/b/../a?s3%63r3t"):         true,
		digest(key, "acme", "crm://h/a?s3cr3t2"):               false,
		digest(key, "other", "crm://h/a?s3cr3t"):               false,
		digest("another key 16 b", "acme", "crm://h/a?s3cr3t"): false,
		digest("", "acme", "crm://h/a?s3cr3t"):                 false,
		digest(key, "acme", "crm://h/a"):                       false,
	} {
		if (what == one) != same {
			t.Errorf("%q and %q: same is not %v", what, one, same)
		}
	}
	first, second := digest("", "acme", "crm://h/?s3cr3t"), digest("", "acme", "crm://h/?s3cr3t")
	if digest(key, "acme", "crm://h/a") != "" || first == second {
		t.Error("a digest of what is shown, or one without a key that two processes have")
	}
}
