package siem

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/audit/deliver"
)

const (
	connected = `{"v":1,"seq":7,"time":"2026-11-02T09:00:00Z","exchange":"x2","action":"allow","source":"10.0.0.7:4711","egress":{"listener":"0","workload":"crm","scheme":"https","host":"api.example.com","port":443,"address":"192.0.2.4:443"},"guards":[],"hash":"aa"}`
	nowhere   = `{"v":1,"seq":7,"exchange":"x2","action":"deny","reason":"malformed_message","egress":{"listener":"0"},"guards":[]}`
	ended     = `{"v":1,"seq":8,"exchange":"x1","closed":"client_left","server":"crm","method":"tools/call","name":"send","source":"[2001:db8::1%eth0]:4711","subject":"ana"}`
	tunnel    = `{"v":1,"seq":8,"exchange":"x2","closed":"server_closed","egress":{"listener":"0","host":"2001:db8::2","port":443}}`
	masked    = `{"v":1,"seq":8,"exchange":"x1","action":"allow","method":"tools/list","subject":"hmac:00","source":"hmac:01","egress":{"host":"hmac:02","port":"hmac:03"},"masked":["source"]}`
	hidden    = `{"v":1,"action":"allow","method":"tools/list","source":"hmac:01"}`
)

func record(body string, f deliver.Facts) *deliver.Item {
	it := item(body, f)
	it.Kind = deliver.Record
	return it
}

// samples are events of every kind.
func samples() map[string]*deliver.Item {
	old := item(denied, deliver.Facts{})
	old.Time = time.Time{}
	return map[string]*deliver.Item{
		"a refusal":                         item(denied, deliver.Facts{Severity: deliver.High, Events: []string{"spike"}}),
		"an answer":                         item(`{"action":"allow","direction":"to_client","method":"tools/call","name":"send","policy":"p1","server":"crm","subject":"ana","source":"[::1]:99","trace_id":"0af7651916cd43dd8448eb211c80319c"}`, deliver.Facts{}),
		"a list":                            item(`{"action":"allow","method":"tools/list"}`, deliver.Facts{}),
		"a call that waits":                 item(`{"action":"hold","reason":"approval_required","method":"tools/call","name":"pay"}`, deliver.Facts{Severity: deliver.Low}),
		"what nobody could read":            item(`{"action":"deny","reason":"malformed_message"}`, deliver.Facts{Severity: deliver.Low}),
		"without a time":                    old,
		"a connection":                      item(connected, deliver.Facts{}),
		"a connection to an address":        item(`{"action":"deny","reason":"destination_not_allowed","egress":{"listener":"0","host":"192.0.2.9","port":80}}`, deliver.Facts{Severity: deliver.High}),
		"a connection to nowhere":           item(nowhere, deliver.Facts{Severity: deliver.Medium}),
		"the end of an exchange":            item(ended, deliver.Facts{}),
		"the end of a tunnel":               item(tunnel, deliver.Facts{}),
		"a masked connection":               item(masked, deliver.Facts{}),
		"a masked message":                  item(hidden, deliver.Facts{}),
		"receipts that are lost":            record(`{"record":"lost","receipts_lost":3}`, deliver.Facts{Record: "lost", Lost: 3, Severity: deliver.Critical}),
		"a log that was changed":            record(`{"record":"segment","trouble":"cut"}`, deliver.Facts{Record: "segment", Trouble: "cut", Severity: deliver.Critical}),
		"a record without a name":           record(`{}`, deliver.Facts{}),
		"a line that somebody made no JSON": item(`{"action":"allow"`, deliver.Facts{}),
	}
}

func TestEveryEventIsAsOCSFPublishesItsClass(t *testing.T) {
	s := published(t)
	for name, it := range samples() {
		text := OCSF(nil, it)
		for _, found := range s.check(text) {
			t.Errorf("%s: %s: %s", name, found, text)
		}
	}
}

// A check that takes anything would prove nothing.
func TestTheDefinitionsRefuseWhatIsNoOCSF(t *testing.T) {
	s := published(t)
	for name, spoil := range map[string]func(e map[string]any){
		"is required":              func(e map[string]any) { delete(e, "actor") },
		"activity":                 func(e map[string]any) { e["type_uid"] = 600301 },
		"none of its values":       func(e map[string]any) { e["severity_id"] = 7 },
		"is called":                func(e map[string]any) { e["severity"] = "Low" },
		"no attribute of":          func(e map[string]any) { e["receipt"] = "x" },
		"no milliseconds":          func(e map[string]any) { e["time"] = 1700000000 },
		"of the profile":           func(e map[string]any) { delete(e["metadata"].(map[string]any), "profiles") },
		"no profile":               func(e map[string]any) { e["metadata"].(map[string]any)["profiles"] = []any{"sallyport"} },
		"is no ip_t":               func(e map[string]any) { e["src_endpoint"].(map[string]any)["ip"] = "crm" },
		"is no port_t":             func(e map[string]any) { e["src_endpoint"].(map[string]any)["port"] = 70000 },
		"needs at_least_one":       func(e map[string]any) { e["src_endpoint"] = map[string]any{} },
		"another version":          func(e map[string]any) { e["metadata"].(map[string]any)["version"] = "1.3.0" },
		"is no list":               func(e map[string]any) { e["resources"] = map[string]any{"name": "x"} },
		"is unknown":               func(e map[string]any) { e["class_uid"] = 6001 },
		"is no string_t":           func(e map[string]any) { e["message"] = 7 },
		"observables[0].type_id":   func(e map[string]any) { e["observables"].([]any)[0].(map[string]any)["type_id"] = 1000 },
		"request.uid is required":  func(e map[string]any) { e["api"].(map[string]any)["request"] = map[string]any{} },
		"disposition is Allowed":   func(e map[string]any) { e["disposition"] = "Allowed" },
		"service. has 0 of [name ": func(e map[string]any) { e["api"].(map[string]any)["service"] = map[string]any{} },
	} {
		var e map[string]any
		if err := json.Unmarshal(OCSF(nil, item(denied, deliver.Facts{Severity: deliver.High})), &e); err != nil {
			t.Fatal(err)
		}
		spoil(e)
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if found := strings.Join(s.check(text), "\n"); !strings.Contains(found, name) {
			t.Errorf("nobody says %q, but %q", name, found)
		}
	}
}

func TestEventsSayWhatHappened(t *testing.T) {
	for name, want := range map[string]string{
		"a refusal":                         `"activity_id":99,"activity_name":"tools/call","category_uid":6,"category_name":"Application Activity","class_uid":6003,"class_name":"API Activity","type_uid":600399,"time":1700000000123,"severity_id":4,"severity":"High"`,
		"a list":                            `"type_uid":600302`,
		"a call that waits":                 `"status":"held","status_id":99,"status_code":"approval_required","action":"held","action_id":99,"disposition":"held","disposition_id":99`,
		"a connection":                      `"app_name":"crm","src_endpoint":{"ip":"10.0.0.7","port":4711},"dst_endpoint":{"ip":"192.0.2.4","hostname":"api.example.com","port":443},"connection_info":{"direction":"Outbound","direction_id":2,"protocol_name":"tcp"}`,
		"a connection to nowhere":           `"activity_id":5,"activity_name":"Refuse","category_uid":4`,
		"the end of an exchange":            `"message":"MCP tools/call send ended: client_left","status":"client_left","status_id":99,"metadata"`,
		"the end of a tunnel":               `"type_uid":400102`,
		"a masked message":                  `"src_endpoint":{"name":"hmac:01"}`,
		"without a time":                    `"time":0`,
		"receipts that are lost":            `"class_uid":0,"class_name":"Base Event","type_uid":99`,
		"a line that somebody made no JSON": `"raw_data":"{\"action\":\"allow\""`,
		"an answer":                         `"observables":[{"name":"actor.user.name","type":"User Name","type_id":4,"value":"ana"},{"name":"src_endpoint.ip","type":"IP Address","type_id":2,"value":"::1"}],"unmapped":{"receipt":{`,
	} {
		if got := string(OCSF(nil, samples()[name])); !strings.Contains(got, want) {
			t.Errorf("%s lacks %s: %s", name, want, got)
		}
	}
}
