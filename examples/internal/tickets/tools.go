package tickets

import (
	"context"
	"errors"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport/sallyport/examples/internal/host"
)

const (
	ticketPattern   = `^T-[0-9]{1,6}$`
	customerPattern = `^C-[0-9]{4}$`
)

func priorities() []string { return []string{"low", "normal", "high", "urgent"} }

type listIn struct {
	Status     string `json:"status,omitempty" jsonschema:"only tickets of this status"`
	Priority   string `json:"priority,omitempty" jsonschema:"only tickets of this priority"`
	CustomerID string `json:"customer_id,omitempty" jsonschema:"only tickets of this customer"`
}

type listOut struct {
	Tickets []Ticket `json:"tickets"`
}

type idIn struct {
	ID string `json:"id" jsonschema:"the ticket's id, for example T-3"`
}

type createIn struct {
	Title      string `json:"title" jsonschema:"what it is about, in a few words"`
	CustomerID string `json:"customer_id" jsonschema:"who asks, for example C-1002"`
	Priority   string `json:"priority,omitempty" jsonschema:"normal when absent"`
	Text       string `json:"text" jsonschema:"what the customer said"`
}

func (s *store) addTools(server *mcp.Server) error {
	listSchema, listErr := host.Schema[listIn](func(p map[string]*jsonschema.Schema) {
		host.Words(p["status"], "open", "closed")
		host.Words(p["priority"], priorities()...)
		p["customer_id"].Pattern = customerPattern
	})
	idSchema, idErr := host.Schema[idIn](func(p map[string]*jsonschema.Schema) { p["id"].Pattern = ticketPattern })
	createSchema, createErr := host.Schema[createIn](func(p map[string]*jsonschema.Schema) {
		host.Length(p["title"], 3, 120)
		host.Length(p["text"], 1, 4000)
		host.Words(p["priority"], priorities()...)
		p["customer_id"].Pattern = customerPattern
	})
	closeSchema, closeErr := host.Schema[closeIn](func(p map[string]*jsonschema.Schema) {
		p["id"].Pattern = ticketPattern
		host.Length(p["resolution"], 3, 1000)
	})
	if err := errors.Join(listErr, idErr, createErr, closeErr); err != nil {
		return err
	}
	mcp.AddTool(server, &mcp.Tool{
		Name: "list_tickets", Title: "List tickets",
		Description: "Lists tickets, all or by status, priority and customer.",
		InputSchema: listSchema, Annotations: host.Reads(),
	}, s.listTool)
	mcp.AddTool(server, &mcp.Tool{
		Name: "get_ticket", Title: "Get a ticket",
		Description: "Returns one ticket with its history.",
		InputSchema: idSchema, Annotations: host.Reads(),
	}, s.getTool)
	mcp.AddTool(server, &mcp.Tool{
		Name: "create_ticket", Title: "Create a ticket",
		Description: "Opens a ticket for a customer.",
		InputSchema: createSchema, Annotations: host.Adds(),
	}, s.createTool)
	mcp.AddTool(server, &mcp.Tool{
		Name: "close_ticket", Title: "Close a ticket",
		Description: "Closes a ticket for good, after the user has confirmed it.",
		InputSchema: closeSchema,
		Annotations: &mcp.ToolAnnotations{OpenWorldHint: host.No()}, // destructive, by the protocol's default
	}, s.closeTool)
	mcp.AddTool(server, &mcp.Tool{
		Name: "summarise_ticket", Title: "Summarise a ticket",
		Description: "Sums up a ticket in one sentence with the client's model, or from its latest entry when the client offers none.",
		InputSchema: idSchema, Annotations: host.Reads(),
	}, s.summariseTool)
	return nil
}

func (s *store) listTool(_ context.Context, _ *mcp.CallToolRequest, in listIn) (*mcp.CallToolResult, listOut, error) {
	return nil, listOut{s.list(filter{in.Status, in.Priority, in.CustomerID})}, nil
}

func (s *store) getTool(_ context.Context, _ *mcp.CallToolRequest, in idIn) (*mcp.CallToolResult, Ticket, error) {
	t, err := s.get(in.ID)
	return nil, t, err
}

func (s *store) createTool(_ context.Context, _ *mcp.CallToolRequest, in createIn) (*mcp.CallToolResult, Ticket, error) {
	title, text := strings.TrimSpace(in.Title), strings.TrimSpace(in.Text)
	if title == "" || text == "" {
		return nil, Ticket{}, errors.New("title and text need more than white space")
	}
	priority := in.Priority
	if priority == "" {
		priority = "normal"
	}
	t, err := s.create(title, in.CustomerID, priority, text)
	return nil, t, err
}
