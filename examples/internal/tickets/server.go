package tickets

import (
	"context"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport/sallyport/examples/internal/host"
)

const (
	openURI   = "tickets://open"
	ticketURI = "tickets://ticket/"
)

// New returns the server with its sample tickets. Changes live in its memory.
func New() (*mcp.Server, error) {
	s, err := newStore()
	if err != nil {
		return nil, err
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "tickets", Title: "Support tickets", Version: "1.0.0"}, &mcp.ServerOptions{
		Instructions: "Support tickets. Closing one needs the user's consent, which the server asks for itself.",
		Capabilities: &mcp.ServerCapabilities{},
	})
	if err := s.addTools(server); err != nil {
		return nil, err
	}
	server.AddResource(&mcp.Resource{URI: openURI, Name: "open", Title: "Open tickets",
		Description: "All tickets that are not closed.", MIMEType: "application/json"}, s.readOpen)
	server.AddResourceTemplate(&mcp.ResourceTemplate{URITemplate: ticketURI + "{id}", Name: "ticket", Title: "One ticket",
		Description: "A ticket with its history.", MIMEType: "application/json"}, s.readOne)
	server.AddPrompt(&mcp.Prompt{Name: "triage", Title: "Triage",
		Description: "Asks for a priority and the next step for a ticket.",
		Arguments:   []*mcp.PromptArgument{{Name: "id", Description: "the ticket's id", Required: true}}}, s.triage)
	return server, nil
}

func (s *store) readOpen(_ context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
	return host.JSON(r.Params.URI, s.list(filter{status: "open"}))
}

func (s *store) readOne(_ context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
	t, err := s.get(strings.TrimPrefix(r.Params.URI, ticketURI))
	if err != nil {
		return nil, mcp.ResourceNotFoundError(r.Params.URI)
	}
	return host.JSON(r.Params.URI, t)
}

func (s *store) triage(_ context.Context, r *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
	t, err := s.get(r.Params.Arguments["id"])
	if err != nil {
		return nil, host.InvalidParams(err)
	}
	contents, err := host.JSON(ticketURI+t.ID, t)
	if err != nil {
		return nil, err
	}
	return &mcp.GetPromptResult{
		Description: "Triage of " + t.ID,
		Messages: []*mcp.PromptMessage{
			{Role: "user", Content: &mcp.EmbeddedResource{Resource: contents.Contents[0]}},
			{Role: "user", Content: &mcp.TextContent{Text: "Which priority should this ticket have, and what is the next step? Give one sentence for each."}},
		},
	}, nil
}
