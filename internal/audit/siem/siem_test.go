package siem

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

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

// cefKeys are the keys that we use, of the extension dictionary of ArcSight's
// "Implementing Common Event Format" (revision 23 and later) and Microsoft's table
// https://learn.microsoft.com/azure/sentinel/cef-name-mapping.
var cefKeys = map[string]string{
	"act": "text", "app": "text", "c6a2": "ipv6", "c6a2Label": "text", "c6a3": "ipv6", "c6a3Label": "text", "cat": "text", "cn1": "number", "cn1Label": "text",
	"cs1": "text", "cs1Label": "text", "cs2": "text", "cs2Label": "text", "cs3": "text", "cs3Label": "text", "cs4": "text", "cs4Label": "text", "cs5": "text", "cs5Label": "text",
	"cs6": "text", "cs6Label": "text", "destinationServiceName": "text", "deviceExternalId": "text", "dhost": "text", "dpt": "number", "dst": "ipv4", "externalId": "text",
	"flexString1": "text", "flexString1Label": "text", "flexString2": "text", "flexString2Label": "text", "msg": "text", "reason": "text", "requestContext": "text",
	"requestMethod": "text", "rt": "number", "shost": "text", "sourceServiceName": "text", "src": "ipv4", "suser": "text",
}

var cefPair = regexp.MustCompile(`(?:^| )([A-Za-z0-9]+)=((?:[^\\=]|\\[\\=nr])*?)(?:$| ([A-Za-z0-9]+=))`)

// pairs reads an extension as ArcSight says: a key is a word before an unescaped
// equals sign, and its value ends before the next one.
func pairs(extension string) map[string]string {
	out := map[string]string{}
	for extension != "" {
		m := cefPair.FindStringSubmatchIndex(extension)
		if m == nil || m[0] != 0 {
			out["?"] = extension
			return out
		}
		out[extension[m[2]:m[3]]] = extension[m[4]:m[5]]
		if m[6] < 0 {
			return out
		}
		extension = extension[m[6]:]
	}
	return out
}

func TestEveryKeyOfCEFIsOneThatReadersKnow(t *testing.T) {
	seen := map[string]bool{}
	for name, it := range samples() {
		line := string(CEF(nil, it))
		parts := strings.SplitN(strings.ReplaceAll(line, `\|`, ""), "|", 8)
		if n, err := strconv.Atoi(parts[6]); parts[0] != "CEF:0" || err != nil || n < 0 || n > 10 {
			t.Errorf("%s: its header is %v", name, parts[:7])
		}
		got := pairs(line[len(line)-len(parts[7]):]) // in the extension nothing escapes a pipe
		for key, value := range got {
			seen[key] = true
			bad := value == "" || len(value) > 2*longestValue
			switch cefKeys[key] {
			case "text":
			case "number":
				_, err := strconv.ParseInt(value, 10, 64)
				bad = err != nil
			case "ipv4":
				bad = !address(value).Is4()
			case "ipv6":
				bad = !address(value).Is6() || got[key+"Label"] == ""
			default:
				bad = true
			}
			if custom := strings.HasPrefix(key, "cs") || strings.HasPrefix(key, "cn") || strings.HasPrefix(key, "flexString"); custom && !strings.HasSuffix(key, "Label") && got[key+"Label"] == "" {
				t.Errorf("%s: nobody says what %s is", name, key)
			}
			if bad {
				t.Errorf("%s: %s=%s in %s", name, key, value, line)
			}
		}
	}
	for key := range cefKeys {
		if !seen[key] {
			t.Errorf("no sample has %s", key)
		}
	}
}

// A caller chooses a name of a megabyte: what stands behind it still arrives.
func TestALongNameDoesNotPushTheRestOfALineOut(t *testing.T) {
	body, err := json.Marshal(map[string]string{"action": "deny", "reason": "unknown_target", "method": "tools/call", "name": strings.Repeat("ä|=", 1<<18)})
	if err != nil {
		t.Fatal(err)
	}
	got := string(CEF(nil, item(string(body), deliver.Facts{})))
	if len(got) > 8<<10 || !strings.Contains(got, "... cs3Label=name") || !strings.Contains(got, "cn1=7") || !utf8.ValidString(got) {
		t.Errorf("%d bytes: %.200s", len(got), got)
	}
}

func FuzzCEFAndOCSF(f *testing.F) {
	for _, body := range []string{denied, connected, nowhere, ended, tunnel, masked, hidden, `{"source":"1.2.3.4:5","egress":{"host":"::1%a","port":-1}}`} {
		f.Add([]byte(body))
	}
	schema := published(f)
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
		if found := schema.check(OCSF(nil, it)); len(found) > 0 {
			t.Errorf("%q: %v", body, found)
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

func TestCEFOfAnEndSaysHowAndHowMuch(t *testing.T) {
	const left = `{"v":1,"seq":8,"exchange":"x1","closed":"client_left","server":"crm","subject":"alice","method":"tools/call","name":"send","bytes_to_server":"hmac:aa","bytes_to_client":4567,"lasted_us":9}`
	got := string(CEF(nil, item(left, deliver.Facts{Closed: "client_left"})))
	if !strings.HasPrefix(got, `CEF:0|Sallyport|Sallyport|1|closed.client_left|MCP tools/call send ended: client_left|1|`) ||
		!strings.Contains(got, ` out=4567 suser=alice `) || !strings.Contains(got, ` flexString2=x1 `) || strings.Contains(got, " act=") || strings.Contains(got, " in=") {
		t.Errorf("%q", got)
	}
}
