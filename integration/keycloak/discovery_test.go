package keycloak

import (
	"testing"

	"github.com/sallyport/sallyport/integration/oauth"
)

// An SDK that knows nothing but the URL of an MCP server finds Keycloak, gets a
// token by logging in or by its own credentials, and another scope once it is
// told to.
func TestAClientThatKnowsTheURLOnlyGetsInByKeycloak(t *testing.T) {
	k := start(t)
	address := oauth.Address(t)
	public := "http://" + address
	r := k.realm(t, "discovery", public)
	oauth.Gateway(t, address, example(t, public, r))
	secret := r.secret(t, "worker")
	for _, c := range oauth.Clients() {
		for _, grant := range c.Grants() {
			task := map[oauth.Grant]oauth.Task{
				oauth.Code:        {Client: "desk"},
				oauth.Credentials: {Client: "worker", Secret: secret},
			}[grant]
			task.URL, task.Grant, task.Issuer = public+"/mcp/crm", grant, r.issuer
			task.Calls = []string{"look", "change", "look"}
			t.Run(c.Name+"/"+string(grant), func(t *testing.T) {
				person := oauth.NewBrowser(t, "ana", password)
				done := c.Run(t, task, person)
				t.Logf("\n%s", done.Steps)
				c.Worked(t, task, done)
				if grant == oauth.Code && person.Logins != 1 {
					t.Errorf("the person logged in %d times", person.Logins)
				}
			})
		}
	}
}
