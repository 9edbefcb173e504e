package dlp_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/dlp"
	"github.com/sallyport/sallyport/guard/guardtest"
	"github.com/sallyport/sallyport/mcp"
)

var ports = dlp.Ports{
	Secret: func(ref string) ([]byte, error) {
		if ref == "env:SHORT" {
			return []byte("short"), nil
		}
		return []byte("0123456789abcdef0123456789abcdef"), nil
	},
	Read: func(path string) ([]byte, error) {
		if path != "own.yaml" {
			return nil, errors.New("no such file")
		}
		return []byte("recognisers: [{type: EMPLOYEE, class: pii, patterns: [{regex: 'EMP-[0-9]{6}', score: 0.9}], tests: {find: ['«EMP-123456»']}}]"), nil
	},
}

func TestConformance(t *testing.T) {
	guardtest.Run(t, dlp.Spec(ports),
		guardtest.Config{Name: "rewriting", Set: func(c any) {
			d := c.(*dlp.Config)
			d.Key, d.Rules = "env:KEY", nil
			d.ToServer, d.ToClient = dlp.Actions{PII: "tokenise", Secret: "hash"}, dlp.Actions{PII: "mask", Secret: "mask"}
		}},
		guardtest.Config{Name: "blocking", Set: func(c any) {
			d := c.(*dlp.Config)
			d.ToServer, d.ToClient = dlp.Actions{PII: "block", Secret: "block"}, dlp.Actions{PII: "block", Secret: "block"}
		}})
}

func build(t testing.TB, set func(*dlp.Config)) guard.Guard {
	t.Helper()
	g, err := dlp.Spec(ports).Build(func(c any) error {
		if set != nil {
			set(c.(*dlp.Config))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func masking(c *dlp.Config) {
	c.Rules = nil
	c.ToServer, c.ToClient = dlp.Actions{PII: "mask", Secret: "mask"}, dlp.Actions{PII: "mask", Secret: "mask"}
}

var decoder = mcp.NewDecoder(mcp.Config{})

// judge returns the verdict and, if it allows, the message as it goes on.
func judge(t testing.TB, g guard.Guard, d mcp.Direction, raw string) (guard.Verdict, string) {
	t.Helper()
	m, f := decoder.Decode(d, []byte(raw))
	if f != nil {
		t.Fatalf("%s: %v", raw, f)
	}
	v, err := g.Inspect(context.Background(), &guard.Exchange{Server: guard.Server{Name: "crm"}, Asked: guard.Asked{Name: "lookup"}}, &m)
	if err != nil {
		t.Fatal(err)
	}
	if v.Action != guard.Allow {
		return v, ""
	}
	out, err := decoder.Apply(&m, v.Edits...)
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return v, string(out.Raw)
}

const (
	call   = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"lookup","arguments":`
	answer = `{"jsonrpc":"2.0","id":1,"result":`
	token  = "ghp_k3Jx9QpLm2Vb7Nc4Rt8Ws1Yz5Hd6Fg0Uak3J"
)

func TestOnlyTheFindingsChange(t *testing.T) {
	g := build(t, masking)
	for name, c := range map[string]struct {
		direction mcp.Direction
		in, want  string
	}{
		"an argument":                          {mcp.ToServer, call + ` {"q" : "mail anna@mail.example  now"}}}`, call + ` {"q" : "mail [EMAIL_ADDRESS]  now"}}}`},
		"nothing to find":                      {mcp.ToServer, call + `{"q":"42"}}}`, call + `{"q":"42"}}}`},
		"a secret behind JSON escapes":         {mcp.ToServer, call + `{"q":"\u0067hp_` + token[4:] + `\n"}}}`, call + `{"q":"[github_token]\n"}}}`},
		"a secret in base64":                   {mcp.ToServer, call + `{"q":"` + base64.StdEncoding.EncodeToString([]byte(token)) + `"}}}`, call + `{"q":"[github_token]"}}}`},
		"a percent-encoded address":            {mcp.ToServer, call + `{"q":"to=anna%40mail.example&x=1"}}}`, call + `{"q":"to=[EMAIL_ADDRESS]&x=1"}}}`},
		"a number":                             {mcp.ToServer, call + `{"card":4111111111111111,"n":7}}}`, call + `{"card":"[CREDIT_CARD]","n":7}}}`},
		"a key":                                {mcp.ToServer, call + `{"anna@mail.example":1,"bob@mail.example":2}}}`, call + `{"[EMAIL_ADDRESS]#1":1,"[EMAIL_ADDRESS]#2":2}}}`},
		"structured content and its text copy": {mcp.ToClient, answer + `{"content":[{"type":"text","text":"{\"taxId\":\"943 476 5919\",\"n\":1}"}],"structuredContent":{"nhs_number":"943 476 5919"}}}`, ""},
		"an error's data":                      {mcp.ToClient, `{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"no ` + token + `","data":{"dsn":"postgres://a:s3cr3tPw9@h/d"}}}`, `{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"no [github_token]","data":{"dsn":"postgres://a:[db_uri_password]@h/d"}}}`},
		"a log message":                        {mcp.ToClient, `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"key ` + token + `"}}`, `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"key [github_token]"}}`},
		"a text resource in base64":            {mcp.ToClient, answer + `{"contents":[{"uri":"x:a","blob":"` + base64.StdEncoding.EncodeToString([]byte("A="+token+"\n")) + `"}]}}`, answer + `{"contents":[{"uri":"x:a","blob":"` + base64.StdEncoding.EncodeToString([]byte("A=[github_token]\n")) + `"}]}}`},
		"the address that a cursor ends with":  {mcp.ToClient, answer + `{"content":[],"nextCursor":"anna@mail.example"}}`, answer + `{"content":[],"nextCursor":"anna@mail.example"}}`},
	} {
		v, got := judge(t, g, c.direction, c.in)
		if c.want == "" {
			if strings.Contains(got, "5919") || strings.Count(got, "[UK_NHS]") != 2 {
				t.Errorf("%s: %s", name, got)
			}
			continue
		}
		if got != c.want {
			t.Errorf("%s:\n%s became\n%s, not\n%s (%s)", name, c.in, got, c.want, v.Detail)
		}
	}
}

func TestARewritingActionRefusesWhatCannotBeRewritten(t *testing.T) {
	g := build(t, masking)
	v, _ := judge(t, g, mcp.ToServer, `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"https://h.example/?t=`+token+`"}}`)
	if v.Action != guard.Deny || v.Reason != dlp.SecretBlocked {
		t.Errorf("%+v", v)
	}
}

func TestDefaultsKeepSecretsInAndLabelTheRest(t *testing.T) {
	g := build(t, nil)
	for name, c := range map[string]struct {
		direction mcp.Direction
		in        string
		reason    guard.Reason
		labels    []string
		holds     string
	}{
		"a token to the server is refused":     {mcp.ToServer, call + `{"q":"` + token + `"}}}`, dlp.SecretBlocked, []string{"secret"}, ""},
		"a password argument is recorded":      {mcp.ToServer, call + `{"password":"hV3#kk29xQ"}}}`, "", []string{"secret"}, "hV3#kk29xQ"},
		"an address to the server is labelled": {mcp.ToServer, call + `{"to":"anna@mail.example"}}}`, "", []string{"pii"}, "anna@mail.example"},
		"a token to the client is recorded":    {mcp.ToClient, answer + `{"content":[{"type":"text","text":"` + token + `"}]}}`, "", []string{"secret"}, token},
		"nothing":                              {mcp.ToClient, answer + `{"content":[{"type":"text","text":"fine"}]}}`, "", nil, "fine"},
	} {
		v, got := judge(t, g, c.direction, c.in)
		var labels []string
		for _, o := range v.Obligations {
			labels = append(labels, o.Name)
		}
		if v.Reason != c.reason || !slices.Equal(labels, c.labels) || !strings.Contains(got, c.holds) {
			t.Errorf("%s: %+v, %s", name, v, got)
		}
	}
}

func TestRulesFitByTypeServerToolAndDirection(t *testing.T) {
	g := build(t, func(c *dlp.Config) {
		masking(c)
		c.Rules = []dlp.Rule{
			{Types: []string{"EMAIL_ADDRESS"}, Servers: []string{"crm"}, Tools: []string{"lookup"}, Direction: "to_client", Action: "allow"},
			{Types: []string{"pii"}, Servers: []string{"other"}, Action: "block"},
			{Types: []string{"secret"}, Direction: "to_client", Action: "block"},
		}
	})
	if v, got := judge(t, g, mcp.ToClient, answer+`{"content":[{"type":"text","text":"anna@mail.example, card 4111 1111 1111 1111"}]}}`); !strings.Contains(got, "anna@mail.example, card [CREDIT_CARD]") {
		t.Errorf("%+v %s", v, got)
	}
	if v, _ := judge(t, g, mcp.ToClient, answer+`{"content":[{"type":"text","text":"`+token+`"}]}}`); v.Reason != dlp.SecretHeld {
		t.Errorf("%+v", v)
	}
}

func TestTokensAreEqualForEqualValuesAndTellNothing(t *testing.T) {
	g := build(t, func(c *dlp.Config) {
		masking(c)
		c.Key, c.ToClient.PII = "env:KEY", "tokenise"
	})
	_, got := judge(t, g, mcp.ToClient, answer+`{"content":[{"type":"text","text":"a@mail.example b@mail.example"},{"type":"text","text":"a@mail.example"}]}}`)
	var r struct {
		Result struct{ Content []struct{ Text string } }
	}
	if err := json.Unmarshal([]byte(got), &r); err != nil {
		t.Fatal(err)
	}
	a, b, _ := strings.Cut(r.Result.Content[0].Text, " ")
	if a == b || a != r.Result.Content[1].Text || !strings.HasPrefix(a, "tok_email_address_") || len(a) != len("tok_email_address_")+26 {
		t.Errorf("%q, %q, %q", a, b, r.Result.Content[1].Text)
	}
}

func TestFindingsAreCountedAndMakeTheMessageSensitive(t *testing.T) {
	for _, tt := range []struct {
		name      string
		set       func(*dlp.Config)
		in, want  string
		sensitive bool
	}{
		{"masked", masking, `{"a":"anna@mail.example","b":"bob@mail.example","k":"` + token + `"}`, "[{mask.email_address 2} {mask.github_token 1}]", true},
		{"found and let pass", nil, `{"a":"anna@mail.example"}`, "[{alert.email_address 1}]", false},
		{"a secret that is let pass", func(c *dlp.Config) { c.ToServer.Secret = "alert" }, `{"k":"` + token + `"}`, "[{alert.github_token 1}]", true},
		{"blocked", nil, `{"k":"` + token + `"}`, "[{block.github_token 1}]", true},
		{"nothing", nil, `{"k":"v"}`, "[]", false},
	} {
		v, _ := judge(t, build(t, tt.set), mcp.ToServer, call+tt.in+`}}`)
		if got := fmt.Sprint(v.Measures); got != tt.want || v.Sensitive != tt.sensitive {
			t.Errorf("%s: %s, %v", tt.name, got, v.Sensitive)
		}
	}
}

func TestTheReceiptNeverShowsAValue(t *testing.T) {
	g := build(t, nil)
	v, _ := judge(t, g, mcp.ToServer, call+`{"anna@mail.example":{"card":"4111 1111 1111 1111"},"k":"`+token+`"}}}`)
	for _, secret := range []string{"anna@", "4111", token[:12]} {
		if strings.Contains(v.Detail, secret) {
			t.Errorf("detail shows %q: %s", secret, v.Detail)
		}
	}
	for _, want := range []string{"EMAIL_ADDRESS /params/arguments/[EMAIL_ADDRESS] 17 bytes hmac ", "CREDIT_CARD", "github_token /params/arguments/k 40 bytes", ": block"} {
		if !strings.Contains(v.Detail, want) {
			t.Errorf("detail lacks %q: %s", want, v.Detail)
		}
	}
}

func TestAMessageBeyondTheBoundIsNotDecided(t *testing.T) {
	g := build(t, func(c *dlp.Config) { c.MaxBytes = 1024 })
	m, f := decoder.Decode(mcp.ToServer, []byte(call+`{"q":"`+strings.Repeat("a", 1024)+`"}}}`))
	if f != nil {
		t.Fatal(f)
	}
	if v, err := g.Inspect(context.Background(), new(guard.Exchange), &m); err == nil {
		t.Errorf("%+v", v)
	}
}

func TestConfigurationThatCannotWorkIsRefused(t *testing.T) {
	for name, set := range map[string]func(*dlp.Config){
		"hash without a key":  func(c *dlp.Config) { c.ToClient.PII = "hash" },
		"a key too short":     func(c *dlp.Config) { c.Key = "env:SHORT" },
		"a misspelt type":     func(c *dlp.Config) { c.Rules = []dlp.Rule{{Types: []string{"CREDITCARD"}, Action: "mask"}} },
		"a missing file":      func(c *dlp.Config) { c.Recognisers = []string{"no.yaml"} },
		"a rule does nothing": func(c *dlp.Config) { c.Rules = []dlp.Rule{{Types: []string{"pii"}}} },
	} {
		if _, err := dlp.Spec(ports).Build(func(c any) error { set(c.(*dlp.Config)); return nil }); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	g := build(t, func(c *dlp.Config) { masking(c); c.Recognisers = []string{"own.yaml"} })
	if _, got := judge(t, g, mcp.ToServer, call+`{"q":"EMP-123456"}}}`); !strings.Contains(got, "[EMPLOYEE]") {
		t.Errorf("a recogniser of one's own: %s", got)
	}
}

func TestAHostWithoutResponsesLearnsWhatNeedsThem(t *testing.T) {
	for want, set := range map[string]func(*dlp.Config){
		"":                 nil,
		"to_client.secret": func(c *dlp.Config) { c.ToClient.Secret = "mask" },
		"to_server.pii":    func(c *dlp.Config) { c.ToServer.PII = "mask" },
		"rules[0]":         func(c *dlp.Config) { c.Rules = []dlp.Rule{{Types: []string{"pii"}, Action: "block"}} },
	} {
		err := build(t, set).(guard.OneWay).RequestsOnly()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}

func FuzzEditsLeaveValidMessages(f *testing.F) {
	g := build(f, masking)
	f.Add([]byte(call + `{"anna@mail.example":"\u0067hp_` + token[4:] + `","n":4111111111111111,"a":["%41nna@mail.example"]}}}`))
	f.Add([]byte(answer + `{"content":[{"type":"text","text":"card 4111 1111 1111 1111"}],"structuredContent":{"card":4111111111111111}}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, d := range []mcp.Direction{mcp.ToServer, mcp.ToClient} {
			m, fault := decoder.Decode(d, raw)
			if fault != nil {
				continue
			}
			v, err := g.Inspect(context.Background(), new(guard.Exchange), &m)
			if err != nil {
				t.Fatal(err)
			}
			out, err := decoder.Apply(&m, v.Edits...)
			if err != nil {
				t.Fatalf("%s: %v (%s)", raw, err, v.Detail)
			}
			if len(v.Edits) == 0 && string(out.Raw) != string(raw) {
				t.Fatalf("%s became %s without an edit", raw, out.Raw)
			}
		}
	})
}
