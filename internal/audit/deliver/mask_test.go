package deliver

import (
	"encoding/json"
	"strings"
	"testing"
)

const example = `{"v":1,"replica":"0123456789abcdef","seq":7,"time":"2026-11-26T08:00:00Z","exchange":"x","direction":"to_server","action":"deny","reason":"pii_blocked","guard":"dlp","detail":"card 4111","server":"crm","subject":"alice","tenant":"acme","roles":["admin","ops"],"arguments":{"card":"4111","note":{"to":"bob"},"n":3},"events":[{"kind":"spike","guard":"anomaly","detail":"alice again"}],"guards":[{"name":"dlp","action":"deny","detail":"card","took_us":1}],"took_us":5,"hash":"` + "00000000000000000000000000000000000000000000000000000000000000aa" + `"}`

func TestAMaskRemovesAndHashesAndTheCopyIsFoundAgain(t *testing.T) {
	m, err := NewMask([]string{"detail", "arguments.note", "events.detail"}, []string{"subject", "roles", "arguments.card", "arguments.n"}, []byte("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	out := m.apply([]byte(example))
	var got map[string]any
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, gone := range []string{"alice", "4111", "bob", "admin"} {
		if strings.Contains(string(out), gone) {
			t.Errorf("%s is still there: %s", gone, out)
		}
	}
	if got["seq"] != 7.0 || got["hash"] == nil || got["tenant"] != "acme" || len(got["masked"].([]any)) != 8 || len(got["roles"].([]any)) != 2 || got["guards"].([]any)[0].(map[string]any)["detail"] != "card" {
		t.Errorf("%s", out)
	}
	again := m.apply([]byte(strings.Replace(example, `"seq":7`, `"seq":8`, 1)))
	var other map[string]any
	if err := json.Unmarshal(again, &other); err != nil || other["subject"] != got["subject"] {
		t.Error("equal values have to stay equal")
	}
}

func TestMasksThatCannotBe(t *testing.T) {
	for name, m := range map[string]struct{ remove, hash []string }{
		"the hash is how a copy is found":    {remove: []string{"hash"}},
		"the replica too":                    {hash: []string{"replica"}},
		"an empty part":                      {remove: []string{"arguments."}},
		"one member is removed and hashed":   {remove: []string{"subject"}, hash: []string{"subject"}},
		"hashes without a key are guessable": {hash: []string{"subject"}},
	} {
		key := []byte("0123456789abcdef")
		if strings.Contains(name, "without a key") {
			key = nil
		}
		if _, err := NewMask(m.remove, m.hash, key); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if m, err := NewMask(nil, nil, nil); m != nil || err != nil {
		t.Error(m, err)
	}
}

func TestFiltersChooseByWhatReceiptsSay(t *testing.T) {
	facts := factsOf(Receipt, []byte(example))
	for name, c := range map[string]struct {
		f    Filter
		want bool
	}{
		"nothing is asked":       {Filter{}, true},
		"the action":             {Filter{Actions: []string{"deny", "hold"}}, true},
		"another action":         {Filter{Actions: []string{"allow"}}, false},
		"the tenant":             {Filter{Tenants: []string{"acme"}}, true},
		"another tenant":         {Filter{Tenants: []string{"acm"}}, false},
		"server and reason":      {Filter{Servers: []string{"crm"}, Reasons: []string{"pii_blocked"}}, true},
		"one of two says no":     {Filter{Servers: []string{"crm"}, Reasons: []string{"x"}}, false},
		"an event":               {Filter{Events: []string{"spike"}}, true},
		"another event":          {Filter{Events: []string{"spikes"}}, false},
		"severe enough":          {Filter{Severity: High}, true},
		"not severe enough":      {Filter{Severity: Critical}, false},
		"only records":           {Filter{Kinds: []Kind{Record}}, false},
		"receipts by their kind": {Filter{Kinds: []Kind{Receipt}}, true},
	} {
		if got := c.f.wants(Receipt, &facts); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	lost := factsOf(Record, []byte(`{"v":1,"replica":"0123456789abcdef","after":7,"record":"lost","time":"2026-11-26T08:00:00Z","receipts_lost":3,"hash":"aa"}`))
	if !(&Filter{Severity: Critical, Tenants: []string{"acme"}}).wants(Record, &lost) {
		t.Error("a hole in the log is for everybody")
	}
}

func TestSeverities(t *testing.T) {
	for want, f := range map[string]Facts{
		"info":     {Action: "allow"},
		"low":      {Action: "deny", Guard: "quota"},
		"medium":   {Action: "deny", Guard: "policy"},
		"high":     {Action: "deny", Guard: "dlp"},
		"critical": {Record: "segment", Trouble: "the checkpoints are missing"},
	} {
		if got := severityOf(&f).String(); got != want {
			t.Errorf("%+v: %s, want %s", f, got, want)
		}
	}
	for _, f := range []Facts{{Action: "hold", Guard: "policy"}, {Action: "deny", Reason: "malformed_message"}} {
		if severityOf(&f) != Low {
			t.Errorf("%+v: %s", f, severityOf(&f))
		}
	}
	if f := (Facts{Action: "deny", Guard: "identity", Reason: "identity_revoked"}); severityOf(&f) != High {
		t.Error("a revoked identity that calls is severe")
	}
	for closed, want := range map[string]Severity{"client_left": Info, "refused": Info, "gateway_failed": Low} {
		if f := (Facts{Closed: closed, Reason: "identity_revoked"}); severityOf(&f) != want {
			t.Errorf("%s is %s", closed, severityOf(&f))
		}
	}
	if f := (Facts{Action: "allow", Events: []string{"spike"}}); severityOf(&f) != Medium {
		t.Error("an event is at least medium")
	}
}

func FuzzMask(f *testing.F) {
	f.Add([]byte(example))
	f.Add([]byte(`{"subject":[[["x"]]],"arguments":{"card":{}}}`))
	f.Add([]byte(`{"subject":`))
	m, err := NewMask([]string{"detail", "arguments.note"}, []string{"subject", "arguments.card"}, []byte("0123456789abcdef"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		out := m.apply(line)
		if json.Valid(line) && len(line) > 0 && line[0] == '{' && !json.Valid(out) {
			t.Errorf("%q becomes %q", line, out)
		}
	})
}
