package dlp_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/dlp"
	"github.com/sallyport/sallyport/mcp"
)

// What only goes back to the server is told by its place: an argument that is
// called like a cursor is an argument.
func TestANameOfTheProtocolsHidesNothing(t *testing.T) {
	g := build(t, masking)
	for _, key := range []string{"nextCursor", "cursor", "requestState", "progressToken", "taskId", "requestId", "mimeType"} {
		v, _ := judge(t, build(t, nil), mcp.ToServer, call+`{"`+key+`":"`+token+`"}}}`)
		if v.Reason != dlp.SecretBlocked {
			t.Errorf("a secret leaves as the argument %s: %+v", key, v)
		}
		for _, raw := range []string{
			answer + `{"content":[],"structuredContent":{"` + key + `":"` + token + `"}}}`,
			answer + `{"content":[{"type":"text","text":"x","` + key + `":"` + token + `"}]}}`,
			answer + `{"` + key + `":{"x":"` + token + `"}}}`,
			answer + `{"` + key + `":["` + token + `"]}}`,
			answer + `{"tasks":[{"x":{"` + key + `":"` + token + `"}}]}}`,
			`{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"no","data":{"` + key + `":"` + token + `"}}}`,
		} {
			if _, got := judge(t, g, mcp.ToClient, raw); strings.Contains(got, token) {
				t.Errorf("reaches the client: %s", got)
			}
		}
	}
}

// A call has no cursor and no task of its own: what stands there is the caller's word,
// which a server that is in league with it can read.
func TestASecretDoesNotLeaveInAMemberOfAnotherMethod(t *testing.T) {
	g := build(t, nil)
	for _, member := range []string{"cursor", "taskId", "progressToken", "requestId"} {
		if v, _ := judge(t, g, mcp.ToServer, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","`+member+`":"`+token+`"}}`); v.Reason != dlp.SecretBlocked {
			t.Errorf("a secret leaves as %s: %+v", member, v)
		}
	}
	for _, raw := range []string{
		`"id":1,"method":"tools/list","params":{"cursor":"%s"}}`,
		`"id":1,"method":"tasks/get","params":{"taskId":"%s"}}`,
		`"id":1,"method":"tools/call","params":{"name":"t","requestState":"%s"}}`,
		`"method":"notifications/progress","params":{"progressToken":"%s","progress":1}}`,
		`"method":"notifications/cancelled","params":{"requestId":"%s"}}`,
	} {
		for text, want := range map[string]guard.Reason{token: dlp.SecretBlocked, "eyJvZmZzZXQiOjUwLCJhZnRlciI6IngifQ==": "", "k3Jx9QpLm2Vb7Nc4Rt8Ws1Yz5Hd6Fg0Uak3J": ""} {
			if v, _ := judge(t, g, mcp.ToServer, fmt.Sprintf(`{"jsonrpc":"2.0",`+raw, text)); v.Reason != want {
				t.Errorf("%s: %s: %+v", raw, text, v)
			}
		}
	}
}

// What servers say of their tools is the same for everybody: it can be treated on
// its own, and never becomes another text with the time.
func TestDescriptionsHaveActionsOfTheirOwn(t *testing.T) {
	const list = answer + `{"tools":[{"name":"mail","description":"Writes to anna@mail.example with ` + token + `.","inputSchema":{"type":"object"}}]}}`
	run := func(g guard.Guard, asked, raw string) (guard.Verdict, string) {
		m, f := decoder.Decode(mcp.ToClient, []byte(raw))
		if f != nil {
			t.Fatal(f)
		}
		v, err := g.Inspect(context.Background(), &guard.Exchange{Server: guard.Server{Name: "crm"}, Asked: guard.Asked{Kind: mcp.Request, Method: asked}}, &m)
		if err != nil {
			t.Fatal(err)
		}
		out, err := decoder.Apply(&m, v.Edits...)
		if err != nil {
			t.Fatal(err)
		}
		var labels []string
		for _, o := range v.Obligations {
			labels = append(labels, o.Name)
		}
		return v, strings.Join(labels, " ") + " " + string(out.Raw)
	}
	masksResults := build(t, func(c *dlp.Config) { c.ToClient = dlp.Actions{PII: "block", Secret: "block"} })
	if v, got := run(masksResults, "tools/list", list); v.Action != guard.Allow || got != "pii.described secret "+list {
		t.Errorf("%+v %s", v, got)
	}
	if v, _ := run(masksResults, "resources/list", list); v.Action != guard.Deny {
		t.Errorf("names of resources are data: %+v", v)
	}
	masks := build(t, func(c *dlp.Config) { c.Described = dlp.Actions{PII: "mask", Secret: "mask"} })
	if _, got := run(masks, "tools/list", list); !strings.HasPrefix(got, "pii.masked secret.masked ") || strings.Contains(got, "anna") || strings.Contains(got, token) {
		t.Error(got)
	}
	if _, got := run(masks, "tools/call", list); got != "pii secret "+list {
		t.Error(got)
	}
	raised, err := dlp.Spec(dlp.Ports{Raise: dlp.Raise{PII: true, Secret: true}}).Build(func(any) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if _, got := run(raised, "tools/list", list); !strings.HasPrefix(got, "pii.described secret.masked ") {
		t.Error(got)
	}
	if want := []string{"descriptions.secret is block"}; !slices.Contains(want, requestsOnly(t, func(c *dlp.Config) { c.Described.Secret = "block" })) {
		t.Error("a host without responses cannot block descriptions")
	}
}

func TestATokenInADescriptionStaysTheSame(t *testing.T) {
	g := restoring(t, "0123456789abcdef0123456789abcdef", func(c *dlp.Config) { c.Described.PII = "tokenise" })
	list := func(hours float64) string {
		m, f := decoder.Decode(mcp.ToClient, []byte(answer+`{"tools":[{"name":"mail","description":"Ask `+mail+`."}]}}`))
		if f != nil {
			t.Fatal(f)
		}
		x := &guard.Exchange{Server: guard.Server{Name: "crm"}, Asked: guard.Asked{Kind: mcp.Request, Method: "tools/list"}, Started: time.Unix(1_793_534_400, 0).Add(time.Duration(hours * float64(time.Hour)))}
		v, err := g.Inspect(t.Context(), x, &m)
		if err != nil {
			t.Fatal(err)
		}
		out, err := decoder.Apply(&m, v.Edits...)
		if err != nil {
			t.Fatal(err)
		}
		return string(out.Raw)
	}
	if now, later := list(0), list(50); now != later || strings.Contains(now, mail) || !strings.Contains(now, "tok_email_address_") {
		t.Errorf("%s\n%s", now, later)
	}
}

func requestsOnly(t *testing.T, set func(*dlp.Config)) string {
	t.Helper()
	err := build(t, set).(guard.OneWay).RequestsOnly()
	if err == nil {
		return ""
	}
	return err.Error()
}
