package tickets

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport/sallyport/examples/internal/hosttest"
)

// user is a client whose user answers action, and whose model repeats itself.
func user(action string, yes bool) *mcp.ClientOptions {
	return &mcp.ClientOptions{
		ElicitationHandler: func(_ context.Context, r *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			if !strings.Contains(r.Params.Message, "Close ticket T-3") {
				return nil, errors.New("an unexpected question: " + r.Params.Message)
			}
			reply := &mcp.ElicitResult{Action: action}
			if action == "accept" {
				reply.Content = map[string]any{"close": yes}
			}
			return reply, nil
		},
		CreateMessageHandler: func(_ context.Context, r *mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
			return &mcp.CreateMessageResult{Role: "assistant", Model: "test-model", Content: &mcp.TextContent{Text: "A clogged fan."}}, nil
		},
	}
}

func TestATicketIsClosedOnlyWhenTheUserSaysYes(t *testing.T) {
	for _, c := range []struct {
		name, action string
		yes, closed  bool
	}{
		{"the user confirms", "accept", true, true},
		{"the user submits the form without ticking the box", "accept", false, false},
		{"the user declines", "decline", false, false},
		{"the user dismisses the question", "cancel", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			hosttest.Each(t, New, user(c.action, c.yes), func(t *testing.T, s *mcp.ClientSession) {
				args := hosttest.Args{"id": "T-3", "resolution": "Fan cleaned."}
				out, fault := hosttest.Call[closeOut](t, s, "close_ticket", args)
				if fault != "" || out.Closed != c.closed {
					t.Fatalf("got %+v %s", out, fault)
				}
				got, _ := hosttest.Call[Ticket](t, s, "get_ticket", hosttest.Args{"id": "T-3"})
				if (got.Status == "closed") != c.closed {
					t.Errorf("afterwards the ticket is %s", got.Status)
				}
				if c.closed {
					if _, fault := hosttest.Call[closeOut](t, s, "close_ticket", args); !strings.Contains(fault, "already closed") {
						t.Errorf("closed twice: %q", fault)
					}
				}
			})
		})
	}
}

func TestWithoutAUserToAskNothingIsClosed(t *testing.T) {
	hosttest.Each(t, New, nil, func(t *testing.T, s *mcp.ClientSession) {
		r, err := s.CallTool(hosttest.Context(t), &mcp.CallToolParams{Name: "close_ticket", Arguments: hosttest.Args{"id": "T-3", "resolution": "Done."}})
		var rpc *jsonrpc.Error
		modern := s.InitializeResult().ProtocolVersion >= "2026-07-28"
		if modern && (!errors.As(err, &rpc) || rpc.Code != mcp.CodeMissingRequiredClientCapabilities) {
			t.Errorf("got %v, want code %d", err, mcp.CodeMissingRequiredClientCapabilities)
		}
		if !modern && (err != nil || !r.IsError) {
			t.Errorf("got %v %v, want a tool error", r, err)
		}
		if got, _ := hosttest.Call[Ticket](t, s, "get_ticket", hosttest.Args{"id": "T-3"}); got.Status != "open" {
			t.Error("the ticket was closed all the same")
		}
	})
}

func TestASummaryComesFromTheClientsModelWhenItHasOne(t *testing.T) {
	for _, c := range []struct {
		name string
		o    *mcp.ClientOptions
		want summaryOut
	}{
		{"with a model", user("accept", true), summaryOut{"T-3", "A clogged fan.", "test-model"}},
		{"without one", nil, summaryOut{"T-3", "Conveyor stops every hour: Fan was clogged; cleaned. Watching until Monday.", "latest_entry"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			hosttest.Each(t, New, c.o, func(t *testing.T, s *mcp.ClientSession) {
				got, fault := hosttest.Call[summaryOut](t, s, "summarise_ticket", hosttest.Args{"id": "T-3"})
				if fault != "" || got != c.want {
					t.Errorf("got %+v %s, want %+v", got, fault, c.want)
				}
			})
		})
	}
}

func TestTicketsAreCreatedListedAndRead(t *testing.T) {
	hosttest.Each(t, New, nil, func(t *testing.T, s *mcp.ClientSession) {
		made, fault := hosttest.Call[Ticket](t, s, "create_ticket", hosttest.Args{"title": "Belt squeaks", "customer_id": "C-1005", "text": "Since Monday."})
		if fault != "" || made.ID != "T-6" || made.Priority != "normal" {
			t.Fatalf("create: %+v %s", made, fault)
		}
		list, fault := hosttest.Call[listOut](t, s, "list_tickets", hosttest.Args{"customer_id": "C-1005", "status": "open"})
		if fault != "" || len(list.Tickets) != 2 {
			t.Errorf("list: %+v %s", list, fault)
		}
		text, err := hosttest.Read(t, s, ticketURI+"T-6")
		if err != nil || !strings.Contains(text, "Belt squeaks") {
			t.Errorf("resource: %s %v", text, err)
		}
		if open, err := hosttest.Read(t, s, openURI); err != nil || strings.Contains(open, "Wrong colour") {
			t.Errorf("open tickets: %s %v", open, err)
		}
		p, err := s.GetPrompt(hosttest.Context(t), &mcp.GetPromptParams{Name: "triage", Arguments: map[string]string{"id": "T-6"}})
		if err != nil || len(p.Messages) != 2 {
			t.Errorf("prompt: %v %v", p, err)
		}
		if _, fault := hosttest.Call[Ticket](t, s, "create_ticket", hosttest.Args{"title": "x", "customer_id": "C-1005", "text": "y"}); !strings.Contains(fault, "title") {
			t.Errorf("a title of one letter: %q", fault)
		}
	})
}
