package keycloak

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/oauth"
)

// A realm gets a new key in the middle of traffic, as operators do it: one of a
// higher priority, while the old one stays to be verified with.
func TestARealmChangesItsKeyUnderLoad(t *testing.T) {
	k := start(t)
	address := oauth.Address(t)
	r := k.realm(t, "rotation", "http://"+address)
	g := oauth.Gateway(t, address, issuers("http://"+address, r))
	secret := r.secret(t, "worker")
	first := r.worker(t, secret, oauth.Read)
	old := part(t, first, 0)["kid"]

	var all sync.WaitGroup
	var token atomic.Pointer[string]
	var calls, renewed atomic.Int64
	token.Store(&first)
	stop := make(chan struct{})
	for range 4 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if status, text, _ := call(t, g.MCP, "crm", "look", *token.Load()); status != http.StatusOK {
					t.Errorf("%d %s", status, text)
					return
				}
				calls.Add(1)
			}
		})
	}
	r.admin(t, http.MethodPost, "/components", map[string]any{
		"name": "rsa-next", "providerId": "rsa-generated", "providerType": "org.keycloak.keys.KeyProvider",
		"config": map[string]any{"priority": []string{"200"}, "enabled": []string{"true"}, "active": []string{"true"}, "algorithm": []string{"RS256"}, "keySize": []string{"2048"}},
	}, nil)
	for end := time.Now().Add(2 * time.Minute); renewed.Load() < 5 && time.Now().Before(end); {
		next := r.worker(t, secret, oauth.Read)
		if part(t, next, 0)["kid"] != old {
			renewed.Add(1)
		}
		token.Store(&next)
	}
	close(stop)
	all.Wait()
	if renewed.Load() == 0 {
		t.Error("Keycloak went on with its old key")
	}
	if status, text, _ := call(t, g.MCP, "crm", "look", first); status != http.StatusOK {
		t.Errorf("a token of before, whose key the realm still has: %d %s", status, text)
	}
	t.Logf("%d calls, %d tokens of the new key", calls.Load(), renewed.Load())
}
