package oauth

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/oauth/provider"
	"github.com/sallyport/sallyport/integration/testenv"
)

// identity is the configuration that believes the provider.
func identity(public string, p *provider.Provider) string {
	return fmt.Sprintf("limits: {judge_time: 6s}\nidentity_framework: {token_lifetime: \"5-15 minutes\"}\nguards:\n  identity:\n    timeout: 5s\n    public_url: %s\n    issuers: [{url: %q, scopes: [%s]}]\n", public, p.URL, Read)
}

// An SDK that knows nothing but the URL of an MCP server finds out where to get
// a token, gets one, learns that it needs another scope, gets that, and works.
func TestAClientThatKnowsTheURLOnlyGetsInAndStepsUpOnce(t *testing.T) {
	address := Address(t)
	public := "http://" + address
	p := provider.Start(t, Redirect)
	p.Register(public + "/mcp/crm")
	g := Gateway(t, address, identity(public, p))
	stepUps := 0
	challenged := func() int {
		n := 0
		for line := range strings.Lines(Receipts(t, g, "")) {
			if strings.Contains(line, `"reason":"insufficient_scope"`) {
				n++
			}
		}
		return n
	}
	for _, c := range Clients() {
		for _, grant := range c.Grants() {
			task := map[Grant]Task{
				Code:        {Client: provider.Desk},
				Credentials: {Client: provider.Worker, Secret: provider.Secret},
			}[grant]
			task.URL, task.Grant, task.Issuer = public+"/mcp/crm", grant, p.URL
			task.Calls = []string{"look", "change", "look"}
			t.Run(c.Name+"/"+string(grant), func(t *testing.T) {
				person := NewBrowser(t, provider.Person, provider.Password)
				done := c.Run(t, task, person)
				t.Logf("\n%s", done.Steps)
				c.Worked(t, task, done)
				if grant == Code && person.Logins != 1 {
					t.Errorf("the person logged in %d times", person.Logins)
				}
				if !slices.Contains(c.Settled, grant) {
					stepUps++
				}
				// They are written behind the data path, and one too many would be told by the next.
				testenv.Eventually(t, time.Minute, "receipts of the challenges", func() bool { return challenged() >= stepUps })
				if seen := challenged(); seen != stepUps {
					t.Errorf("%d challenges for scopes, want %d", seen, stepUps)
				}
			})
		}
	}
}

// A scope that the provider never gives is asked for, and not for ever.
func TestAScopeThatIsNeverGivenEndsInAnErrorThatCanBeRead(t *testing.T) {
	address := Address(t)
	public := "http://" + address
	p := provider.Start(t, Redirect)
	p.Deny(Write)
	Gateway(t, address, identity(public, p))
	for _, c := range Clients() {
		t.Run(c.Name, func(t *testing.T) {
			task := Task{URL: public + "/mcp/crm", Grant: Code, Issuer: p.URL, Client: provider.Desk, Calls: []string{"look", "change", "look"}}
			done := c.Run(t, task, NewBrowser(t, provider.Person, provider.Password))
			t.Logf("\n%s", done.Steps)
			change := done.Steps.Get("change")
			if change.OK || change.Error == nil || change.Error.Message == "" {
				t.Errorf("%s", change)
			}
			if len(done.Asked) > 5 {
				t.Errorf("the provider was asked %d times", len(done.Asked))
			}
			if len(done.Steps) != 4 || !done.Steps[1].OK || !done.Steps[3].OK {
				t.Errorf("what it may do it can do no more:\n%s", done.Steps)
			}
		})
	}
}
