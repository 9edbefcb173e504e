package tickets

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport/sallyport/examples/internal/host"
)

// The tools in this file return their questions instead of sending them. The SDK
// gives them to a modern client as `input_required`, and asks a legacy client in
// requests of its own; either way the tool runs a second time with the answers.
// It trusts nothing from the first time: all checks are made again.

type closeIn struct {
	ID         string `json:"id" jsonschema:"the ticket's id, for example T-3"`
	Resolution string `json:"resolution" jsonschema:"how it ended, for the customer to read"`
}

type closeOut struct {
	Closed bool   `json:"closed" jsonschema:"false when the user said no"`
	Ticket Ticket `json:"ticket"`
}

const (
	confirmKey = "confirm"
	summaryKey = "summary"
)

func (s *store) closeTool(_ context.Context, r *mcp.CallToolRequest, in closeIn) (*mcp.CallToolResult, closeOut, error) {
	t, err := s.get(in.ID)
	if err != nil {
		return nil, closeOut{}, err
	}
	if t.Status == "closed" {
		return nil, closeOut{}, fmt.Errorf("%s: %w", in.ID, errClosed)
	}
	answer, asked := r.Params.InputResponses[confirmKey]
	if !asked {
		if caps := r.ClientCapabilities(); caps == nil || caps.Elicitation == nil {
			return nil, closeOut{}, host.Needs(r, "close_ticket asks the user to confirm, which this client does not offer (elicitation)",
				&mcp.ClientCapabilities{Elicitation: &mcp.ElicitationCapabilities{Form: &mcp.FormElicitationCapabilities{}}})
		}
		return &mcp.CallToolResult{InputRequests: mcp.InputRequestMap{confirmKey: confirmation(t)}}, closeOut{}, nil
	}
	reply, ok := answer.(*mcp.ElicitResult)
	if !ok {
		return nil, closeOut{}, fmt.Errorf("close_ticket: the answer to %q is not one to an elicitation", confirmKey)
	}
	if yes, _ := reply.Content["close"].(bool); reply.Action != "accept" || !yes {
		return nil, closeOut{Ticket: t}, nil
	}
	t, err = s.close(in.ID, strings.TrimSpace(in.Resolution))
	if err != nil {
		return nil, closeOut{}, err
	}
	return nil, closeOut{Closed: true, Ticket: t}, nil
}

func confirmation(t Ticket) *mcp.ElicitParams {
	return &mcp.ElicitParams{
		Message: fmt.Sprintf("Close ticket %s, %q? This cannot be undone.", t.ID, t.Title),
		RequestedSchema: &jsonschema.Schema{
			Type:       "object",
			Properties: map[string]*jsonschema.Schema{"close": {Type: "boolean", Title: "Close the ticket"}},
			Required:   []string{"close"},
		},
	}
}

type summaryOut struct {
	ID      string `json:"id"`
	Summary string `json:"summary"`
	By      string `json:"by" jsonschema:"the model that wrote it, or latest_entry"`
}

func (s *store) summariseTool(_ context.Context, r *mcp.CallToolRequest, in idIn) (*mcp.CallToolResult, summaryOut, error) {
	t, err := s.get(in.ID)
	if err != nil {
		return nil, summaryOut{}, err
	}
	answer, asked := r.Params.InputResponses[summaryKey]
	if !asked {
		if caps := r.ClientCapabilities(); caps == nil || caps.Sampling == nil {
			return nil, summaryOut{t.ID, t.Title + ": " + t.History[len(t.History)-1], "latest_entry"}, nil
		}
		return &mcp.CallToolResult{InputRequests: mcp.InputRequestMap{summaryKey: question(t)}}, summaryOut{}, nil
	}
	model, text := written(answer)
	if text == "" {
		return nil, summaryOut{}, fmt.Errorf("summarise_ticket: the client's model wrote no text")
	}
	return nil, summaryOut{t.ID, text, model}, nil
}

func question(t Ticket) *mcp.CreateMessageParams { // sampling is deprecated in 2026-07-28, and still what legacy clients have
	return &mcp.CreateMessageParams{
		MaxTokens:    200,
		SystemPrompt: "You sum up support tickets in one plain sentence.",
		Messages: []*mcp.SamplingMessage{{Role: "user", Content: &mcp.TextContent{
			Text: t.Title + "\n- " + strings.Join(t.History, "\n- "),
		}}},
	}
}

// written returns the model and the text of a sampling result. The SDK decodes
// it into one of two types, depending on who asked.
func written(answer mcp.InputResponse) (model, text string) {
	var blocks []mcp.Content
	switch a := answer.(type) {
	case *mcp.CreateMessageResult:
		model, blocks = a.Model, []mcp.Content{a.Content}
	case *mcp.CreateMessageWithToolsResult:
		model, blocks = a.Model, a.Content
	}
	var parts []string
	for _, b := range blocks {
		if t, ok := b.(*mcp.TextContent); ok {
			parts = append(parts, t.Text)
		}
	}
	return model, strings.TrimSpace(strings.Join(parts, "\n"))
}
