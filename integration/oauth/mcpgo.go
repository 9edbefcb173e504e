package oauth

import (
	"context"
	"net/url"
	"testing"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
)

// runMCPGo takes mcp-go through a task: it finds the provider by itself, and
// leaves the rest of the code flow to its caller.
func runMCPGo(t testing.TB, task Task, person *Browser) Done {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), life)
	defer cancel()
	var done Done
	c, err := client.NewOAuthStreamableHttpClient(task.URL, client.OAuthConfig{
		ClientID: task.Client, RedirectURI: task.Redirect, Scopes: []string{Read, Write}, PKCEEnabled: true, TokenStore: transport.NewMemoryTokenStore(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	begin := mcp.InitializeRequest{}
	begin.Params.ClientInfo = mcp.Implementation{Name: "peer-mcpgo", Version: "1.0.0"}
	_, err = c.Initialize(ctx, begin)
	if client.IsOAuthAuthorizationRequiredError(err) {
		if err = loggedIn(ctx, &done, client.GetOAuthHandler(err), person); err == nil {
			_, err = c.Initialize(ctx, begin)
		}
	}
	done.step("connect", "", err)
	if err != nil {
		return done
	}
	for _, name := range task.Calls {
		request := mcp.CallToolRequest{}
		request.Params.Name, request.Params.Arguments = name, map[string]any{}
		result, err := c.CallTool(ctx, request)
		text := ""
		if err == nil && len(result.Content) > 0 {
			if content, ok := result.Content[0].(mcp.TextContent); ok {
				text = content.Text
			}
		}
		done.step(name, text, err)
	}
	return done
}

// loggedIn is the code flow as mcp-go's callers do it.
func loggedIn(ctx context.Context, done *Done, h *transport.OAuthHandler, person *Browser) error {
	verifier, err := client.GenerateCodeVerifier()
	if err != nil {
		return err
	}
	state, err := client.GenerateState()
	if err != nil {
		return err
	}
	to, err := h.GetAuthorizationURL(ctx, state, client.GenerateCodeChallenge(verifier))
	if err != nil {
		return err
	}
	place, err := open(ctx, done, person, to)
	if err != nil {
		return err
	}
	back, err := url.Parse(place)
	if err != nil {
		return err
	}
	return h.ProcessAuthorizationResponse(ctx, back.Query().Get("code"), back.Query().Get("state"), verifier)
}
