package crm

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport/sallyport/examples/internal/host"
)

type searchIn struct {
	Query   string `json:"query" jsonschema:"part of the customer's name, in any case"`
	Segment string `json:"segment,omitempty" jsonschema:"only customers of this segment"`
	Limit   int    `json:"limit,omitempty" jsonschema:"return at most this many; 10 when absent"`
}

// Hit is a search result: enough to choose a customer by.
type Hit struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Segment string `json:"segment"`
	Country string `json:"country"`
}

type searchOut struct {
	Customers []Hit `json:"customers"`
	Total     int   `json:"total" jsonschema:"how many match, also those beyond the limit"`
}

type getIn struct {
	ID string `json:"id" jsonschema:"the customer's id, for example C-1002"`
}

type getOut struct {
	Customer Customer `json:"customer"`
	Notes    []Note   `json:"notes"`
}

type noteIn struct {
	ID   string `json:"id" jsonschema:"the customer's id, for example C-1002"`
	Text string `json:"text" jsonschema:"what to write down"`
}

func (s *store) addTools(server *mcp.Server) error {
	searchSchema, err := host.Schema[searchIn](func(p map[string]*jsonschema.Schema) {
		host.Length(p["query"], 1, 100)
		host.Words(p["segment"], "smb", "midmarket", "enterprise")
		host.Range(p["limit"], 1, 50)
	})
	if err != nil {
		return err
	}
	getSchema, err := host.Schema[getIn](func(p map[string]*jsonschema.Schema) { p["id"].Pattern = idPattern })
	if err != nil {
		return err
	}
	noteSchema, err := host.Schema[noteIn](func(p map[string]*jsonschema.Schema) {
		p["id"].Pattern = idPattern
		host.Length(p["text"], 1, 2000)
	})
	if err != nil {
		return err
	}
	mcp.AddTool(server, &mcp.Tool{
		Name: "search_customers", Title: "Search customers",
		Description: "Finds customers by a part of their name. Use get_customer with an id from the result for contacts and notes.",
		InputSchema: searchSchema, Annotations: host.Reads(),
	}, s.searchTool)
	mcp.AddTool(server, &mcp.Tool{
		Name: "get_customer", Title: "Get a customer",
		Description: "Returns one customer with contacts, revenue and notes.",
		InputSchema: getSchema, Annotations: host.Reads(),
	}, s.getTool)
	mcp.AddTool(server, &mcp.Tool{
		Name: "add_note", Title: "Add a note",
		Description: "Writes down a note about a customer. Notes cannot be changed or removed.",
		InputSchema: noteSchema, Annotations: host.Adds(),
	}, s.noteTool)
	return nil
}

const idPattern = `^C-[0-9]{4}$`

func (s *store) searchTool(_ context.Context, _ *mcp.CallToolRequest, in searchIn) (*mcp.CallToolResult, searchOut, error) {
	found := s.search(strings.TrimSpace(in.Query), in.Segment)
	out := searchOut{Customers: []Hit{}, Total: len(found)}
	limit := in.Limit
	if limit == 0 {
		limit = 10
	}
	for _, c := range found[:min(limit, len(found))] {
		out.Customers = append(out.Customers, Hit{c.ID, c.Name, c.Segment, c.Country})
	}
	return nil, out, nil
}

func (s *store) getTool(_ context.Context, _ *mcp.CallToolRequest, in getIn) (*mcp.CallToolResult, getOut, error) {
	c, ok := s.find(in.ID)
	if !ok {
		return nil, getOut{}, unknown(in.ID)
	}
	return nil, getOut{Customer: c, Notes: s.notesOf(in.ID)}, nil
}

func (s *store) noteTool(_ context.Context, _ *mcp.CallToolRequest, in noteIn) (*mcp.CallToolResult, Note, error) {
	if _, ok := s.find(in.ID); !ok {
		return nil, Note{}, unknown(in.ID)
	}
	text := strings.TrimSpace(in.Text)
	if text == "" {
		return nil, Note{}, fmt.Errorf("text: a note needs more than white space")
	}
	note, err := s.note(in.ID, text)
	return nil, note, err
}

// unknown tells the model what to do next, as tool errors should.
func unknown(id string) error {
	return fmt.Errorf("no customer has the id %s; search_customers finds ids by name", id)
}
