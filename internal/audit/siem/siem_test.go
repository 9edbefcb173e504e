package siem

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/audit/deliver"
)

func item(body string, f deliver.Facts) *deliver.Item {
	return &deliver.Item{Kind: deliver.Receipt, ID: "00-7-aa", Replica: "0123456789abcdef", Seq: 7, Time: time.UnixMilli(1700000000123).UTC(), Body: []byte(body), Facts: f}
}

const denied = `{"v":1,"seq":7,"exchange":"x1","direction":"to_server","action":"deny","reason":"pii_blocked","guard":"dlp","detail":"a=b|c\\d\nCEF:0|forged","server":"crm","server_version":"2","http_method":"POST","subject":"al|ce=x","tenant":"acme","agent":"planner","source":"10.0.0.1:4711","method":"tools/call","name":"send","guards":[],"hash":"aa"}`

func TestCEFEscapesWhatCallersChose(t *testing.T) {
	got := string(CEF(nil, item(denied, deliver.Facts{Severity: deliver.High, Events: []string{"spike"}})))
	want := `CEF:0|Sallyport|Sallyport|1|deny.pii_blocked|MCP tools/call send refused|8|rt=1700000000123 externalId=00-7-aa deviceExternalId=0123456789abcdef app=MCP act=deny reason=pii_blocked cat=dlp suser=al|ce\=x src=10.0.0.1 requestMethod=POST requestContext=tools/call destinationServiceName=crm msg=a\=b|c\\d\nCEF:0|forged cs1=acme cs1Label=tenant cs2=planner cs2Label=agent cs3=send cs3Label=name cs6=` + strings.Repeat("0", 64) + ` cs6Label=hash cn1=7 cn1Label=seq flexString1=spike flexString1Label=events flexString2=x1 flexString2Label=exchange`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	name := item(`{"action":"allow","method":"tools/call","name":"a|b\\c\nd"}`, deliver.Facts{})
	if got := string(CEF(nil, name)); !strings.Contains(got, `|MCP tools/call a\|b\\c d allowed|1|`) || strings.Contains(got, "\n") {
		t.Errorf("%q", got)
	}
	lost := item(`{"record":"lost","receipts_lost":3}`, deliver.Facts{Record: "lost", Lost: 3, Severity: deliver.Critical})
	lost.Kind = deliver.Record
	if got := string(CEF(nil, lost)); !strings.HasPrefix(got, `CEF:0|Sallyport|Sallyport|1|record.lost|3 receipts were lost|10|`) {
		t.Errorf("%q", got)
	}
}

// TestOCSFHasWhatItsClassRequires holds events to the attributes that OCSF 1.3.0
// requires of API Activity and Base Event, and to their closed lists.
func TestOCSFHasWhatItsClassRequires(t *testing.T) {
	lost := item(`{"record":"lost","receipts_lost":3}`, deliver.Facts{Record: "lost", Lost: 3, Severity: deliver.Critical})
	lost.Kind = deliver.Record
	for name, c := range map[string]struct {
		it       *deliver.Item
		required []string
		want     map[string]any
	}{
		"a refusal": {item(denied, deliver.Facts{Severity: deliver.High}), []string{"actor", "api", "src_endpoint"},
			map[string]any{"class_uid": 6003., "type_uid": 600399., "severity_id": 4., "status_id": 2., "action_id": 2., "disposition_id": 2., "activity_id": 99.}},
		"a list": {item(`{"action":"allow","method":"tools/list"}`, deliver.Facts{}), []string{"actor", "api", "src_endpoint"},
			map[string]any{"class_uid": 6003., "type_uid": 600302., "severity_id": 1., "status_id": 1., "activity_id": 2.}},
		"a record": {lost, nil, map[string]any{"class_uid": 0., "type_uid": 99., "severity_id": 5., "category_uid": 0.}},
	} {
		text := OCSF(nil, c.it)
		var got map[string]any
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		for _, key := range append([]string{"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"}, c.required...) {
			if got[key] == nil {
				t.Errorf("%s: no %s: %s", name, key, text)
			}
		}
		for key, want := range c.want {
			if got[key] != want {
				t.Errorf("%s: %s is %v, want %v", name, key, got[key], want)
			}
		}
		meta := got["metadata"].(map[string]any)
		if meta["version"] != OCSFVersion || meta["product"].(map[string]any)["vendor_name"] == nil || meta["uid"] != "00-7-aa" {
			t.Errorf("%s: %v", name, meta)
		}
		if got["unmapped"].(map[string]any)["receipt"] == nil {
			t.Errorf("%s: the receipt itself is gone", name)
		}
	}
}

func FuzzCEF(f *testing.F) {
	f.Add([]byte(denied))
	f.Fuzz(func(t *testing.T, body []byte) {
		it := item("", deliver.Facts{})
		it.Body = body
		line := string(CEF(nil, it))
		if strings.ContainsAny(line, "\n\r") {
			t.Errorf("a line of its own: %q", line)
		}
		bars, escaped := 0, false
		for _, c := range line[:strings.LastIndex(line, "externalId=00-7-aa")] {
			switch {
			case escaped:
				escaped = false
			case c == '\\':
				escaped = true
			case c == '|':
				bars++
			}
		}
		if bars != 7 {
			t.Errorf("%d bars in the header: %q", bars, line)
		}
		if !json.Valid(OCSF(nil, it)) {
			t.Error("no JSON")
		}
	})
}

func TestASealedCallerHasOneNameInEveryProduct(t *testing.T) {
	sealed := item(`{"action":"allow","method":"tools/call","name":"pay","pseudonym":"0123456789abcdef","sealed":[{"what":"identity"}]}`, deliver.Facts{})
	if got := string(CEF(nil, sealed)); !strings.Contains(got, "suser=~0123456789abcdef") {
		t.Errorf("%s", got)
	}
	if got := string(OCSF(nil, sealed)); !strings.Contains(got, `"uid":"~0123456789abcdef"`) {
		t.Errorf("%s", got)
	}
}
