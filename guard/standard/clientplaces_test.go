package standard_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/dlp"
	"github.com/sallyport/sallyport/guard/guardtest"
	"github.com/sallyport/sallyport/mcp"
)

// clientBody is a client's message with text in the place.
func (p place) clientBody(text string, name bool) string {
	const known = `"jsonrpc":"2.0",`
	v := string(mcp.AppendQuote(nil, text))
	steps := strings.Split(p.pointer[1:], "/")
	for i := len(steps) - 1; i >= 0; i-- {
		key, in := step(steps[i], v, text, name && i == len(steps)-1)
		if v = in; key == "" {
			continue
		}
		switch {
		case i == 0:
		case key == "name" && steps[i-1] == "ref", key == "title" && steps[i-1] == "ref":
			v = `"type":"ref/prompt",` + v
		case key == "uri" && steps[i-1] == "ref":
			v = `"type":"ref/resource",` + v
		}
		if i == 1 && steps[0] == "params" {
			v = p.needs(steps[1]) + v
		}
		if i > 0 {
			v = "{" + v + "}"
		}
	}
	id, result, failure := `"id":7`, `"result":{}`, `"error":{"code":-1,`
	switch {
	case p.kind == "error" && strings.HasSuffix(p.pointer, "/message"):
		return "{" + known + id + "," + strings.Replace(v, `"error":{`, failure, 1) + "}"
	case p.kind == "error":
		return "{" + known + id + "," + strings.Replace(v, `"error":{`, failure+`"message":"no",`, 1) + "}"
	case p.kind == "result" && steps[0] == "id":
		return "{" + known + v + "," + result + "}"
	case p.kind == "result" && steps[0] == "result":
		return "{" + known + id + "," + v + "}"
	case p.kind == "result":
		return "{" + known + id + "," + result + "," + v + "}"
	}
	method := `"method":"` + p.method + `",`
	if p.kind == "request" && steps[0] != "id" {
		method += id + ","
	}
	if steps[0] != "params" && p.needs("") != "" {
		method += `"params":{` + strings.TrimSuffix(p.needs(""), ",") + "},"
	}
	return "{" + known + method + v + "}"
}

// needs is the target that the method must have, unless it stands in the member.
func (p place) needs(member string) string {
	m, _ := mcp.LookupMethod(p.method)
	for target, needed := range map[mcp.Target]string{
		mcp.TargetTask: `"taskId":"t",`, mcp.TargetURI: `"uri":"web:1",`, mcp.TargetTool: `"name":"t",`, mcp.TargetPrompt: `"name":"t",`, mcp.TargetRef: `"ref":{"type":"ref/prompt","name":"t"},`,
	} {
		if m.Target == target && !strings.HasPrefix(needed, `"`+member+`"`) {
			return needed
		}
	}
	return ""
}

// tokensOf seals so that a test can see through it.
type tokensOf struct{}

func (tokensOf) Seal(_ [32]byte, value string) (string, bool) {
	return hex.EncodeToString([]byte(value)), true
}

func (tokensOf) Open(_ [32]byte, token string) (string, bool) {
	b, err := hex.DecodeString(token)
	return string(b), err == nil
}

func clientChain(t testing.TB, set func(*dlp.Config)) *guard.Chain {
	t.Helper()
	spec := dlp.Spec(dlp.Ports{
		Secret: func(string) ([]byte, error) { return bytes.Repeat([]byte("k"), 32), nil },
		Tokens: func([]byte) (dlp.Sealer, error) { return tokensOf{}, nil },
	})
	g, err := spec.Build(func(c any) error {
		d := c.(*dlp.Config)
		d.Key, d.RestoreFor, d.ToClient.PII = "env:K", time.Hour, "tokenise"
		set(d)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := guard.New(guard.Host{Now: time.Now, Decoder: decoder, Await: func(ctx context.Context, _ time.Duration, wait func(context.Context) (guard.Verdict, error)) (guard.Verdict, error) {
		return wait(ctx)
	}}, guard.Member{Spec: spec, Guard: g, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func clientExchange(h guard.Headers) *guard.Exchange {
	return &guard.Exchange{ID: "x", Server: guard.Server{Name: "web"}, Headers: h, Started: time.Unix(1_793_534_400, 0), Asked: guard.Asked{Kind: mcp.Request, ID: json.RawMessage("7"), Method: "tools/call"}}
}

// token makes a JWT of some claims, as real ones look.
func token(claims string) string {
	e := base64.RawURLEncoding.EncodeToString
	return e([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + e([]byte(claims)) + "." + e(bytes.Repeat([]byte{0x5f, 0x9a, 0x31, 0xc7}, 64))
}

const (
	access = `{"iss":"https://id.acme.example","sub":"ada","aud":"https://api.acme.example","exp":1793538000,"scope":"payments:write"}`
	state  = `{"iss":"web","exp":1793538000,"step":2,"answers":{"region":"eu"}}`
)

// Secrets and personal data, as they really look.
var secrets = []struct {
	what, text string
	reason     guard.Reason
}{
	{"an AWS key", theSecret, dlp.SecretBlocked},
	{"a GitHub token", "ghp_k3Jx9QpLm2Vb7Nc4Rt8Ws1Yz5Hd6Fg0Uak3J", dlp.SecretBlocked},
	{"a private key", "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\nMzEfYyjiWA4R4/M2bS1GB4t7NXp98C3SC6dVMvDuictGeurT8jNbvJZHtCSuYEvu\n-----END PRIVATE KEY-----", dlp.SecretBlocked},
	{"an access token", token(access), dlp.SecretBlocked},
	{"a card", "4111 1111 1111 1111", dlp.PIIBlocked},
	{"an AWS key in base64", base64.RawURLEncoding.EncodeToString([]byte(`{"after":"` + theSecret + `"}`)), dlp.SecretBlocked},
}

// eachOfAClient plants a text in every place.
func eachOfAClient(t *testing.T, text string, visit func(p planted, raw string)) {
	t.Helper()
	for _, p := range placesIn(t, "testdata/client-places.txt", 700) {
		one := planted{place: p, revision: letters[rune(p.revisions[0])], text: text}
		visit(one, p.clientBody(text, false))
		if strings.HasSuffix(p.pointer, "/*") {
			one.name = true
			visit(one, p.clientBody(text, true))
		}
	}
}

func TestNoSecretLeavesWhereverAClientsTextCanStand(t *testing.T) {
	block := clientChain(t, func(c *dlp.Config) { c.ToServer = dlp.Actions{PII: "block", Secret: "block"} })
	mask := clientChain(t, func(c *dlp.Config) { c.ToServer = dlp.Actions{PII: "mask", Secret: "mask"} })
	n, refused := 0, 0
	for _, s := range secrets {
		eachOfAClient(t, s.text, func(p planted, raw string) {
			n++
			m, f := decoder.Decode(mcp.ToServer, []byte(raw))
			if f != nil { // a name with a line break, say
				if refused++; f.Code == mcp.CodeParse {
					t.Errorf("%s: the test sends no message: %v: %s", p, f, raw)
				}
				return
			}
			if d := block.Run(t.Context(), clientExchange(nil), &m); d.Action != guard.Deny || d.Reason != s.reason {
				t.Errorf("%s: %s leaves: %s %s %s", p, s.what, d.Action, d.Reason, raw)
			}
			if d := mask.Run(t.Context(), clientExchange(nil), &m); d.Action == guard.Allow && bytes.Contains(d.Message.Raw, mcp.AppendQuote(nil, s.text)[1:len(s.text)]) {
				t.Errorf("%s: %s leaves where it is masked: %s", p, s.what, d.Message.Raw)
			}
		})
	}
	if n < 5000 || refused > n/10 {
		t.Errorf("only %d messages, of which %d are none", n, refused)
	}
}

// A server can have signed its state as tokens are signed, and gets it back.
func TestTheSignedStateOfAServerPassesWhereItIsOne(t *testing.T) {
	block := clientChain(t, func(*dlp.Config) {})
	signed := token(state)
	eachOfAClient(t, signed, func(p planted, raw string) {
		m, f := decoder.Decode(mcp.ToServer, []byte(raw))
		if f != nil {
			return
		}
		passes := m.Handle(p.pointer) == mcp.Issued
		if d := block.Run(t.Context(), clientExchange(nil), &m); (d.Action == guard.Allow) != passes {
			t.Errorf("%s: %s %s", p, d.Action, d.Detail)
		}
	})
}

// Where a value comes back to the client or names something, a token in its place must
// not become it: the client would be told what it stands for.
func TestATokenDoesNotBecomeItsValueWhereItComesBack(t *testing.T) {
	c := clientChain(t, func(c *dlp.Config) { c.ToServer.PII = "allow" })
	text := "tok_email_address." + hex.EncodeToString([]byte(thePII))
	restored := 0
	eachOfAClient(t, text, func(p planted, raw string) {
		m, f := decoder.Decode(mcp.ToServer, []byte(raw))
		if f != nil {
			return
		}
		d := c.Run(t.Context(), clientExchange(nil), &m)
		has := bytes.Contains(d.Message.Raw, []byte(thePII))
		if has {
			restored++
		}
		if has && (m.Handle(p.pointer) != mcp.NoHandle || p.name || strings.HasPrefix(p.pointer, "/params/_meta/") || p.pointer == "/params/name" || p.pointer == "/params/uri") {
			t.Errorf("%s: %s", p, d.Message.Raw)
		}
	})
	if restored == 0 {
		t.Error("nothing is put back, which is no test")
	}
}

// Headers of the client that servers get to read are places, too.
func TestNoSecretLeavesInAHeader(t *testing.T) {
	const call = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{}}}`
	block := clientChain(t, func(c *dlp.Config) { c.ToServer = dlp.Actions{PII: "block", Secret: "block"} })
	mask := clientChain(t, func(c *dlp.Config) { c.ToServer = dlp.Actions{PII: "mask", Secret: "mask"} })
	messages := []mcp.Message{mcp.TransportMessage(mcp.MethodListen), mcp.TransportMessage(mcp.MethodClose)}
	m, _ := decoder.Decode(mcp.ToServer, []byte(call))
	messages = append(messages, m)
	for _, name := range []string{"user-agent", "accept", "accept-language", "cache-control", "last-event-id", "mcp-session-id", "mcp-method", "mcp-name", "mcp-param-city", "mcp-anything",
		"traceparent", "tracestate", "baggage", "x-request-id"} {
		for _, s := range secrets {
			value := s.text
			if strings.ContainsAny(value, "\n") {
				if value = "=?base64?" + base64.StdEncoding.EncodeToString([]byte(value)) + "?="; !strings.HasPrefix(name, "mcp-") {
					continue // no line of a header
				}
			}
			for i := range messages {
				for range 2 { // what was found once is found again
					for _, c := range []*guard.Chain{block, mask} {
						x := clientExchange(guardtest.Headers{name: value})
						if name == "mcp-session-id" {
							x.Session = s.text
						}
						if d := c.Run(t.Context(), x, &messages[i]); d.Action != guard.Deny || d.Reason != s.reason || bytes.Contains([]byte(d.Detail), []byte(s.text)) {
							t.Errorf("%s: %s leaves with %s: %s %s %s", name, s.what, messages[i].Method, d.Action, d.Reason, d.Detail)
						}
					}
				}
			}
		}
	}
	for name, value := range map[string]string{
		"user-agent": "python-httpx/0.28.1", "accept": "application/json, text/event-stream", "accept-language": "de-DE,de;q=0.9,en;q=0.8", "cache-control": "no-cache",
		"last-event-id": "6f1c2b0e-3c55-4d5e-9d8e-0c1b2a3f4d5e_0000000017", "mcp-session-id": "a7c6b5d4e3f29180a7c6b5d4e3f29180", "mcp-method": "tools/call", "mcp-name": "t", "mcp-param-city": "Porto",
		"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7", "baggage": "tenant=acme,plan=gold",
		"x-request-id": "6f1c2b0e-3c55-4d5e-9d8e-0c1b2a3f4d5e", ":path": "/mcp/web",
	} {
		x := clientExchange(guardtest.Headers{name: value})
		x.Session = "a7c6b5d4e3f29180a7c6b5d4e3f29180"
		if d := block.Run(t.Context(), x, &m); d.Action != guard.Allow {
			t.Errorf("%s: %s: %s", name, value, d.Detail)
		}
	}
}
