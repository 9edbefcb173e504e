// Package playbook is an example MCP server that signs what it gives models to
// read: its instructions and its prompts.
package playbook

import (
	"context"
	"crypto"
	"encoding/json"
	"fmt"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport/sallyport/examples/internal/host"
	"github.com/sallyport/sallyport/segment"
)

// New returns the server, which signs with key as the server that the gateway's
// registry calls name.
func New(name string, key crypto.Signer) *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "playbook", Title: "Playbooks of support", Version: "1.0.0"}, &mcp.ServerOptions{
		Instructions: "Playbooks of the support team. Fetch the one for the case at hand and follow it.",
		Capabilities: &mcp.ServerCapabilities{},
	})
	s.AddPrompt(&mcp.Prompt{Name: "triage", Title: "Triage", Description: "How to sort new tickets."}, triage)
	s.AddPrompt(&mcp.Prompt{Name: "refund", Title: "Refund", Description: "How to refund an order.",
		Arguments: []*mcp.PromptArgument{{Name: "order", Description: "the order's number", Required: true}}}, refund)
	s.AddReceivingMiddleware(signing(segment.Signer{Server: name, Key: key, Lifetime: 10 * time.Minute}))
	return s
}

func triage(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
	return says("Sort the tickets by urgency. Close none. Ask a person about whatever mentions a lawyer."), nil
}

func refund(_ context.Context, r *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
	order := r.Params.Arguments["order"]
	if order == "" {
		return nil, host.InvalidParams(fmt.Errorf("order is missing"))
	}
	return says("Refund order " + order + " if it was paid by card less than 30 days ago, and no other."), nil
}

func says(text string) *mcp.GetPromptResult {
	return &mcp.GetPromptResult{Messages: []*mcp.PromptMessage{{Role: "user", Content: &mcp.TextContent{Text: text}}}}
}

// signing signs results on their way out. What a prompt says may depend on its
// arguments, so the signature is bound to them.
func signing(signer segment.Signer) mcp.Middleware {
	return func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, r mcp.Request) (mcp.Result, error) {
			result, err := next(ctx, method, r)
			if err != nil {
				return result, err
			}
			about := segment.About{Method: method}
			switch method {
			case "prompts/get":
				p := r.GetParams().(*mcp.GetPromptParams)
				about.Name = p.Name
				if about.Arguments, err = arguments(p.Arguments); err != nil {
					return nil, err
				}
			case "initialize":
			case "server/discover":
				about.Method = "initialize" // the same instructions, by another name
			default:
				return result, nil
			}
			e, err := signer.Sign(about, result)
			if err != nil {
				return nil, err
			}
			meta := result.GetMeta()
			if meta == nil {
				meta = make(map[string]any)
			}
			meta[segment.Key] = e
			result.SetMeta(meta)
			return result, nil
		}
	}
}

func arguments(a map[string]string) (json.RawMessage, error) {
	if len(a) == 0 {
		return json.RawMessage("{}"), nil
	}
	return json.Marshal(a)
}
