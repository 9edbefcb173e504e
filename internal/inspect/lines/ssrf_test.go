package lines

import (
	"bufio"
	"encoding/json"
	"os"
	"testing"
)

const data = "../../../eval/testdata/ssrf/"

func TestTheDevelopmentSetOfDestinationsIsJudgedRight(t *testing.T) {
	text, err := os.ReadFile(data + "policy.json")
	if err != nil {
		t.Fatal(err)
	}
	p, redirects, err := ReadPolicy(text)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(data + "ssrf_dev.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d := NewURL(p, redirects)
	for s := bufio.NewScanner(f); s.Scan(); {
		var want struct {
			ID      string
			Verdict string
			Also    string `json:"also_ok"`
		}
		if err := json.Unmarshal(s.Bytes(), &want); err != nil {
			t.Fatal(err)
		}
		got, err := d(s.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		v := got.(verdict)
		if v.Verdict != want.Verdict && v.Verdict != want.Also {
			t.Errorf("%s: %s, not %s: %s\n%s", want.ID, v.Verdict, want.Verdict, v.Why, s.Bytes())
		}
	}
}

func TestDestinationsOfOtherShapes(t *testing.T) {
	p, _, err := ReadPolicy([]byte(`{"schemes":["https"],"max_redirects":5,"allow":[{"host":"api.company.com","ports":[443]},{"host":"*.internal-tools.company.com","ports":[443],"allow_private":true}]}`))
	if err != nil {
		t.Fatal(err)
	}
	d := NewURL(p, 5)
	const dns = `"dns":{"api.company.com":["93.184.216.34"],"w.internal-tools.company.com":["10.1.2.3"]}`
	for record, want := range map[string]string{
		`"arg":{"query":"see http://169.254.169.254/latest/meta-data"}`: "deny",
		`"arg":{"body":"curl http:\\/\\/10.0.0.1\\/x"}`:                 "deny",
		`"arg":{"webhookUrl":"hooks.evil.example/x"}`:                   "deny",
		`"arg":{"callback_url":"//evil.example"}`:                       "deny",
		`"arg":{"host":"2130706433"}`:                                   "deny",
		`"arg":{"host":"0x7f.1"}`:                                       "deny",
		`"arg":{"server":"localhost"}`:                                  "deny",
		`"arg":{"x":"connect to localhost:6379 please"}`:                "deny",
		`"arg":{"x":"[::1]:80"}`:                                        "deny",
		`"arg":{"x":"aHR0cDovLzE2OS4yNTQuMTY5LjI1NC9sYXRlc3Q="}`:        "deny",
		`"arg":{"x":"http%3A%2F%2F10.0.0.1%2F"}`:                        "deny",
		`"arg":{"x":"go\u200b http://evil\u200b.example/"}`:             "deny",
		`"arg":{"https://evil.example/":1}`:                             "deny",
		`"arg":{"nested":[{"u":"ftp://evil.example"}]}`:                 "deny",
		`"arg":{"x":"www.evil.example"}`:                                "deny",
		`"arg":{"x":"http:evil.example"}`:                               "deny",
		`"arg":{"x":"HTTPS://API.COMPANY.COM/"}`:                        "allow",
		`"arg":{"x":"see <https://api.company.com/a_(b)>, and \"https://w.internal-tools.company.com\"."}`: "allow",
		`"arg":{"url":"https://api.company.com"}`:                                                          "allow",
		`"arg":{"host":"api.company.com"}`:                                                                 "allow",
		`"arg":{"host":"api.company.com:443"}`:                                                             "allow",
		`"arg":{"host":"api.company.com:8443"}`:                                                            "deny",
		`"arg":{"email":"ops@evil.example"}`:                                                               "allow",
		`"arg":{"text":"C++ std::vector, a // comment, 1.2.3 and file.tar.gz"}`:                            "allow",
		`"arg":{"text":"key: value, time 10:45:01, 2026-01-02T03:04:05Z"}`:                                 "allow",
		`"arg":{"cidr":"10.0.0.0/8"}`:                                                                      "allow",
		`"arg":{"path":"/usr/lib/python3.11/site-packages"}`:                                               "allow",
		`"arg":{"module":"github.com/acme/tool"}`:                                                          "allow",
		`"arg":{"target":"prod"}`:                                                                          "allow",
		`"arg":{"link":"#section-2"}`:                                                                      "allow",
		`"arg":{"schema":"urn:isbn:0451450523"}`:                                                           "allow",
		`"url":"https://api.company.com:443/","redirects":["/a","/b","/c","/d","/e","/f"]`:                 "deny",
		`"url":"https://api.company.com/","redirects":["/a","https://w.internal-tools.company.com/"]`:      "allow",
		`"url":"https://API.company.com"`:                                                                  "allow",
		`"url":"https://api.company.com?x"`:                                                                "allow",
		`"url":"https://[::ffff:10.0.0.1]/"`:                                                               "deny",
		`"url":"https://api.company.com:443@evil.example/"`:                                                "deny",
		`"url":"https://0x7f.0.0.1/"`:                                                                      "deny",
		`"url":"https://١٢٧.٠.٠.١/"`:                                                                       "deny",
		`"url":"https://ⓛocalhost/"`:                                                                       "deny",
		`"url":""`:                                                                                         "deny",
	} {
		got, err := d([]byte("{" + record + "," + dns + "}"))
		if err != nil {
			t.Fatal(err)
		}
		if v := got.(verdict); v.Verdict != want {
			t.Errorf("%s: %s, not %s: %s", record, v.Verdict, want, v.Why)
		}
	}
}
