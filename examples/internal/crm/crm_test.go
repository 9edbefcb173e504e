package crm

import (
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport/sallyport/examples/internal/hosttest"
)

func TestCustomersAreFoundReadAndNotedInEveryEra(t *testing.T) {
	hosttest.Each(t, New, nil, func(t *testing.T, s *mcp.ClientSession) {
		found, fault := hosttest.Call[searchOut](t, s, "search_customers", hosttest.Args{"query": "mill", "limit": 1})
		if fault != "" || found.Total != 2 || len(found.Customers) != 1 {
			t.Fatalf("search: %+v %s", found, fault)
		}
		id := found.Customers[0].ID
		note, fault := hosttest.Call[Note](t, s, "add_note", hosttest.Args{"id": id, "text": " wants belts "})
		if fault != "" || note != (Note{1, "wants belts"}) {
			t.Fatalf("note: %+v %s", note, fault)
		}
		got, fault := hosttest.Call[getOut](t, s, "get_customer", hosttest.Args{"id": id})
		if fault != "" || got.Customer.Name != "Northwind Mills" || len(got.Notes) != 1 || len(got.Customer.People) != 2 {
			t.Fatalf("get: %+v %s", got, fault)
		}
		text, err := hosttest.Read(t, s, "crm://customers/"+id)
		if err != nil || !strings.Contains(text, "Northwind Mills") {
			t.Errorf("resource: %s %v", text, err)
		}
		if _, err := hosttest.Read(t, s, "crm://customers/C-9999"); err == nil {
			t.Error("a customer that does not exist was read")
		}
		prompt, err := s.GetPrompt(hosttest.Context(t), &mcp.GetPromptParams{Name: briefPrompt, Arguments: map[string]string{"id": id}})
		if err != nil || len(prompt.Messages) != 2 {
			t.Errorf("prompt: %+v %v", prompt, err)
		}
		done, err := s.Complete(hosttest.Context(t), &mcp.CompleteParams{
			Ref: &mcp.CompleteReference{Type: "ref/prompt", Name: briefPrompt}, Argument: mcp.CompleteParamsArgument{Name: "id", Value: "C-100"}})
		if err != nil || len(done.Completion.Values) != 8 {
			t.Errorf("completion: %+v %v", done, err)
		}
	})
}

func TestWrongArgumentsAreRefusedInWordsThatHelp(t *testing.T) {
	for _, c := range []struct {
		name, tool string
		args       hosttest.Args
		want       string
	}{
		{"an empty query", "search_customers", hosttest.Args{"query": ""}, "query"},
		{"an unknown segment", "search_customers", hosttest.Args{"query": "a", "segment": "huge"}, "segment"},
		{"a limit out of range", "search_customers", hosttest.Args{"query": "a", "limit": 1000}, "limit"},
		{"an argument that nobody asked for", "search_customers", hosttest.Args{"query": "a", "sql": "drop"}, "sql"},
		{"an id of another form", "get_customer", hosttest.Args{"id": "../etc"}, "id"},
		{"an id that nobody has", "get_customer", hosttest.Args{"id": "C-9999"}, "search_customers"},
		{"a note of white space", "add_note", hosttest.Args{"id": "C-1001", "text": "  "}, "white space"},
	} {
		t.Run(c.name, func(t *testing.T) {
			hosttest.Each(t, New, nil, func(t *testing.T, s *mcp.ClientSession) {
				if _, fault := hosttest.Call[any](t, s, c.tool, c.args); !strings.Contains(fault, c.want) {
					t.Errorf("got %q, want a tool error about %q", fault, c.want)
				}
			})
		})
	}
}

func TestNotesHaveAnEnd(t *testing.T) {
	s, err := newStore()
	if err != nil {
		t.Fatal(err)
	}
	for range notesPerCustomer {
		if _, err := s.note("C-1001", "x"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.note("C-1001", "one too many"); err == nil {
		t.Error("more notes than the limit were kept")
	}
}
