package oauth

import (
	"context"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/peers"
	"github.com/sallyport/sallyport/integration/peers/scenario"
)

// Grant is how a client gets its token.
type Grant string

// The grants.
const (
	Code        Grant = "authorization_code"
	Credentials Grant = "client_credentials"
)

// Task is all that a client is told: the URL of an MCP server, as what it is
// registered where, and which tools to call, one after the other, in one session.
type Task struct {
	URL      string   `json:"url"`
	Grant    Grant    `json:"grant"`
	Issuer   string   `json:"issuer"` // that the credentials are for
	Client   string   `json:"client"`
	Secret   string   `json:"secret"`
	Redirect string   `json:"redirect"`
	Scope    string   `json:"scope,omitempty"` // to ask for from the beginning, where Settled
	Calls    []string `json:"calls"`
}

// Done is how it went.
type Done struct {
	Steps scenario.Steps // connect, and one for each call
	Asked []url.Values   // what the person's browser was sent to the provider with
}

// Client is an SDK with authorization code of its own.
type Client struct {
	Name string
	// Settled are the grants with which it asks for the scopes that it was
	// configured with, whatever a challenge says.
	Settled []Grant
	run     func(t testing.TB, task Task, person *Browser) Done
}

// Run takes an SDK through a task. person may be nil where none is needed.
func (c Client) Run(t testing.TB, task Task, person *Browser) Done {
	t.Helper()
	if task.Grant == Code {
		task.Redirect = Redirect
	}
	if slices.Contains(c.Settled, task.Grant) {
		task.Scope = Read + " " + Write
	}
	return c.run(t, task, person)
}

// Grants returns those that an SDK knows.
func (c Client) Grants() []Grant {
	if c.Name == "mcp-go" {
		return []Grant{Code}
	}
	return []Grant{Code, Credentials}
}

// Clients returns the SDKs.
func Clients() []Client {
	return []Client{
		{Name: "go-sdk", run: runGo},
		{Name: "mcp-go", run: runMCPGo, Settled: []Grant{Code}},
		{Name: "node-sdk", run: node("sdk"), Settled: []Grant{Credentials}},
		{Name: "node-client", run: node("client")},
		{Name: "python", run: func(t testing.TB, task Task, b *Browser) Done { return drive(t, peers.Python(t, "oauth.py"), task, b) }},
	}
}

func node(which string) func(testing.TB, Task, *Browser) Done {
	return func(t testing.TB, task Task, b *Browser) Done {
		return drive(t, peers.Node(t, "oauth.mjs", which), task, b)
	}
}

// life bounds one client's task.
const life = 3 * time.Minute

// open has the person's browser open an authorization URL.
func open(ctx context.Context, done *Done, person *Browser, to string) (string, error) {
	u, err := url.Parse(to)
	if err != nil {
		return "", err
	}
	done.Asked = append(done.Asked, u.Query())
	return person.Authorize(ctx, to)
}
