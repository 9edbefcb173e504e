package oauth

import (
	"context"
	"errors"
	"net/url"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/auth/extauth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/sallyport/sallyport/integration/peers/scenario"
)

// runGo takes the official Go SDK through a task.
func runGo(t testing.TB, task Task, person *Browser) Done {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), life)
	defer cancel()
	var done Done
	handler, err := handler(task, func(ctx context.Context, a *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
		place, err := open(ctx, &done, person, a.URL)
		if err != nil {
			return nil, err
		}
		u, err := url.Parse(place)
		if err != nil {
			return nil, err
		}
		q := u.Query()
		return &auth.AuthorizationResult{Code: q.Get("code"), State: q.Get("state"), Iss: q.Get("iss")}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "peer-gosdk", Version: "1.0.0"}, nil)
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: task.URL, OAuthHandler: handler}, nil)
	done.step("connect", "", err)
	if err != nil {
		return done
	}
	defer session.Close()
	for _, name := range task.Calls {
		result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: name, Arguments: map[string]any{}})
		text := ""
		if err == nil && len(result.Content) > 0 {
			if content, ok := result.Content[0].(*mcp.TextContent); ok {
				text = content.Text
			}
			if result.IsError {
				err = errors.New("tool error: " + text)
			}
		}
		done.step(name, text, err)
	}
	return done
}

func handler(task Task, fetch auth.AuthorizationCodeFetcher) (auth.OAuthHandler, error) {
	known := &oauthex.ClientCredentials{ClientID: task.Client, Issuer: task.Issuer}
	if task.Grant == Credentials {
		known.ClientSecretAuth = &oauthex.ClientSecretAuth{ClientSecret: task.Secret}
		return extauth.NewClientCredentialsHandler(&extauth.ClientCredentialsHandlerConfig{Credentials: known})
	}
	return auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		PreregisteredClient: known, RedirectURL: task.Redirect, AuthorizationCodeFetcher: fetch,
	})
}

func (d *Done) step(name, detail string, err error) {
	s := scenario.Step{Name: name, OK: err == nil, Detail: detail}
	if err != nil {
		s.Error = &scenario.Fault{Message: err.Error()}
	}
	d.Steps = append(d.Steps, s)
}
