package catalog_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/catalog"
	"github.com/sallyport/sallyport/guard/guardtest"
	"github.com/sallyport/sallyport/internal/inspect/definition"
	"github.com/sallyport/sallyport/mcp"
)

// book knows by name where everything stands.
type book struct {
	state map[string]catalog.State
	fresh bool // nothing has been seen yet
	err   error
}

func (b book) Standing(_ string, k definition.Kind, name string) catalog.Standing {
	return catalog.Standing{State: b.state[k.String()+" "+name], Why: "secret reason"}
}

func (b book) Announced(string, definition.Kind) bool { return b.fresh }

func (b book) Known(server string, list []definition.Definition) ([]catalog.Standing, bool) {
	if b.fresh {
		return nil, false
	}
	s, _ := b.See(context.Background(), server, list)
	return s, true
}

func (b book) See(_ context.Context, server string, list []definition.Definition) (out []catalog.Standing, err error) {
	for _, d := range list {
		s := b.Standing(server, d.Kind, d.Name)
		if b.fresh {
			s.Events = []catalog.Event{{Kind: "definition_new", Detail: d.Name}}
		}
		out = append(out, s)
	}
	return out, b.err
}

func ports(b catalog.Book) catalog.Ports {
	return catalog.Ports{Open: func(catalog.Config) (catalog.Book, error) { return b, nil }}
}

func TestConformance(t *testing.T) {
	guardtest.Run(t, catalog.Spec(ports(book{})),
		guardtest.Config{Name: "approved only", Set: func(c any) { c.(*catalog.Config).Pin = "approved_only" }})
	guardtest.Run(t, catalog.Spec(ports(book{fresh: true})))
}

func build(t *testing.T, b catalog.Book, set func(*catalog.Config)) guard.Guard {
	t.Helper()
	return guardtest.Build(t, catalog.Spec(ports(b)), set)
}

var decoder = mcp.NewDecoder(mcp.Config{})

func ask(t *testing.T, g guard.Guard, dir mcp.Direction, asked, raw string) (guard.Verdict, string) {
	t.Helper()
	m, f := decoder.Decode(dir, []byte(raw))
	if f != nil {
		t.Fatalf("%s: %v", raw, f)
	}
	x := &guard.Exchange{Server: guard.Server{Name: "crm"}}
	if asked != "" {
		x.Asked = guard.Asked{Kind: mcp.Request, Method: asked}
	}
	v, err := g.Inspect(context.Background(), x, &m)
	if err == nil && v.Pending != nil {
		v, err = v.Pending(context.Background())
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := decoder.Apply(&m, v.Edits...)
	if err != nil {
		t.Fatal(err)
	}
	return v, string(out.Raw)
}

// A server that ignores case would do what the registry, or a pin, says of the
// tool that is meant.
func TestANameInAnotherCaseIsUnknown(t *testing.T) {
	g := build(t, book{state: map[string]catalog.State{"tool List_All": catalog.Trusted}}, nil)
	for name, want := range map[string]guard.Action{"delete_user": guard.Allow, "Delete_User": guard.Deny, "DELETE_USER": guard.Deny, "other": guard.Allow, "List_All": guard.Allow} {
		m, f := decoder.Decode(mcp.ToServer, []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+name+`"}}`))
		if f != nil {
			t.Fatal(f)
		}
		x := &guard.Exchange{Server: guard.Server{Name: "crm", Tools: map[string]guard.Tool{"delete_user": {Sensitive: true}, "list_all": {}, "*": {}}}}
		if v, err := g.Inspect(t.Context(), x, &m); err != nil || v.Action != want || want == guard.Deny && v.Reason != guard.UnknownTarget {
			t.Errorf("%s: %+v %v", name, v, err)
		}
	}
}

func TestAnAnnouncementIsToldOnceAndCallsMayWaitForTheList(t *testing.T) {
	note := `{"jsonrpc":"2.0","method":"notifications/resources/list_changed"}`
	if v, _ := ask(t, build(t, book{fresh: true}, nil), mcp.ToClient, "subscriptions/listen", note); len(v.Obligations) != 1 || v.Obligations[0].Name != "definitions_announced" {
		t.Errorf("%+v", v)
	}
	if v, _ := ask(t, build(t, book{}, nil), mcp.ToClient, "subscriptions/listen", note); v.Obligations != nil {
		t.Errorf("told twice: %+v", v)
	}
}

func TestWhatIsHeldIsInNoList(t *testing.T) {
	b := book{state: map[string]catalog.State{
		"tool a": catalog.Trusted, "tool b": catalog.Held, "resource file:///b": catalog.Held, "instructions ": catalog.Held,
	}}
	for _, fresh := range []bool{false, true} {
		b.fresh = fresh
		for _, c := range []struct{ method, in, want string }{
			{"tools/list", `{"tools":[{"name":"b"},{"name":"a","x":1},{"name":"b","y":2}],"nextCursor":"n"}`, `{"tools":[{"name":"a","x":1}],"nextCursor":"n"}`},
			{"tools/list", `{"tools":[{"name":"b"}]}`, `{"tools":[]}`},
			{"resources/list", `{"resources":[{"uri":"FILE:///x/../%62","name":"n"}]}`, `{"resources":[]}`},
			{"initialize", `{"instructions":"obey","serverInfo":{}}`, `{"serverInfo":{}}`},
			{"server/discover", `{"serverInfo":{},"instructions":"obey"}`, `{"serverInfo":{}}`},
			{"tools/list", `{"tools":[]}`, `{"tools":[]}`},
		} {
			v, got := ask(t, build(t, b, nil), mcp.ToClient, c.method, `{"jsonrpc":"2.0","id":1,"result":`+c.in+`}`)
			if want := `{"jsonrpc":"2.0","id":1,"result":` + c.want + `}`; got != want {
				t.Errorf("%s:\n got %s\nwant %s", c.method, got, want)
			}
			if raised := len(v.Obligations) > 0; raised != (fresh && c.in != `{"tools":[]}`) {
				t.Errorf("%s: %v", c.method, v.Obligations)
			}
		}
	}
}

func TestAServerWhoseEveryDefinitionIsNewDoesNotFillTheLogs(t *testing.T) {
	list := strings.Repeat(`{"name":"x"},`, 499) + `{"name":"x"}`
	v, _ := ask(t, build(t, book{fresh: true}, nil), mcp.ToClient, "tools/list", `{"jsonrpc":"2.0","id":1,"result":{"tools":[`+list+`]}}`)
	events := 0
	for _, o := range v.Obligations {
		if o.Kind == guard.Raise {
			events++
		}
	}
	if last := v.Obligations[events-1]; events != 32 || !strings.Contains(last.Value, "and 468 more events") {
		t.Errorf("%d events, the last %+v", events, last)
	}
}

// Whoever tries names must not learn which of them exist.
func TestWhatIsHeldAndWhatIsUnknownLookAlike(t *testing.T) {
	b := book{state: map[string]catalog.State{"tool a": catalog.Trusted, "tool b": catalog.Held, "prompt b": catalog.Held, "resource file:///b": catalog.Held, "template f:{x}": catalog.Held}}
	g := build(t, b, func(c *catalog.Config) { c.Unlisted = "refuse" })
	for raw, want := range map[string]guard.Reason{
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}`:                                                                              "",
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"b"}}`:                                                                              guard.UnknownTarget,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"c"}}`:                                                                              guard.UnknownTarget,
		`{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"b"}}`:                                                                             guard.UnknownTarget,
		`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"FILE:///x/../%62"}}`:                                                            guard.UnknownTarget,
		`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///other"}}`:                                                               "",
		`{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"b"},"argument":{"name":"x","value":""}}}`:      guard.UnknownTarget,
		`{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/resource","uri":"f:{x}"},"argument":{"name":"x","value":""}}}`: guard.UnknownTarget,
	} {
		v, _ := ask(t, g, mcp.ToServer, "", raw)
		if v.Reason != want || (v.Action == guard.Allow) != (want == "") || v.Hint != "" {
			t.Errorf("%s: %+v", raw, v)
		}
	}
	g = build(t, b, nil)
	if v, _ := ask(t, g, mcp.ToServer, "", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"c"}}`); v.Action != guard.Allow {
		t.Errorf("with trust_first_use, a client that kept its list goes on: %+v", v)
	}
}

func TestSettingsThatCannotBe(t *testing.T) {
	_, err := guardtest.Try(catalog.Spec(ports(book{})), func(c *catalog.Config) {
		*c = catalog.Config{Pin: "x"}
	})
	for _, want := range []string{`pin: "x"`, `on_change: ""`, `suspicion.hidden: ""`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	_, err = guardtest.Try[catalog.Config](catalog.Spec(catalog.Ports{Open: func(catalog.Config) (catalog.Book, error) { return nil, errors.New("no folder") }}), nil)
	if err == nil || !strings.HasPrefix(err.Error(), "directory: ") {
		t.Errorf("got %v", err)
	}
	if g, err := guardtest.Try(catalog.Spec(ports(book{})), func(c *catalog.Config) { c.Pin = "off" }); g != nil || err != nil {
		t.Errorf("off: %v, %v", g, err)
	}
}
