package oauth

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/oauth/provider"
	"github.com/sallyport/sallyport/integration/testenv"
)

// send calls the tool look of the server crm and returns the status, and what
// came with it.
func send(public, token string) (status int, text string, err error) {
	r, err := testenv.PostBy(context.Background(), http.DefaultClient, public+"/mcp/crm", `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"look","arguments":{}}}`,
		"Mcp-Protocol-Version", "2025-11-25", "Authorization", "Bearer "+token)
	if err != nil {
		return 0, "", err
	}
	return r.StatusCode, r.Text, nil
}

// load keeps calling with whatever token is current, until it is ended.
type load struct {
	token atomic.Pointer[string]
	calls atomic.Int64
	stop  chan struct{}
	all   sync.WaitGroup
}

func (l *load) start(t *testing.T, public string) {
	l.stop = make(chan struct{})
	for range 4 {
		l.all.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				default:
				}
				if status, text, err := send(public, *l.token.Load()); err != nil || status != http.StatusOK {
					t.Errorf("%d %s %v", status, text, err)
					return
				}
				l.calls.Add(1)
			}
		})
	}
}

func (l *load) end() {
	close(l.stop)
	l.all.Wait()
}

// some waits for so many calls more.
func (l *load) some(t *testing.T, n int64) {
	t.Helper()
	from := l.calls.Load()
	testenv.Eventually(t, time.Minute, "calls", func() bool { return l.calls.Load() >= from+n || t.Failed() })
}

func TestKeysChangeAndTheProviderGoesAwayUnderLoad(t *testing.T) {
	address := Address(t)
	public := "http://" + address
	resource := public + "/mcp/crm"
	p := provider.Start(t, Redirect)
	Gateway(t, address, identity(public, p))
	use := func(l *load) string {
		token := p.Token(t, resource, Read)
		l.token.Store(&token)
		return token
	}
	var l load
	first := use(&l)
	l.start(t, public)
	for range 5 { // one new key after the other, each used at once
		l.some(t, 50)
		p.Rotate(t)
		use(&l)
		l.some(t, 50)
		p.Withdraw()
	}
	if status, text, err := send(public, first); err != nil || status != http.StatusUnauthorized {
		t.Errorf("a token whose key was withdrawn: %d %s %v", status, text, err)
	}

	known := use(&l)
	p.Rotate(t)
	unknown := p.Token(t, resource, Read) // nobody has shown it yet
	p.Down(true)
	l.some(t, 200)
	for range 5 {
		if status, text, err := send(public, unknown); err != nil || status != http.StatusServiceUnavailable {
			t.Errorf("a key that is not known, of a provider that is away: %d %s %v", status, text, err)
		}
		if status, text, err := send(public, known); err != nil || status != http.StatusOK {
			t.Errorf("a key that is known: %d %s %v", status, text, err)
		}
	}
	l.some(t, 200)
	p.Down(false)
	testenv.Eventually(t, time.Minute, "the key is known after the provider's return", func() bool { // which is left alone for a moment
		status, _, err := send(public, unknown)
		return err == nil && status == http.StatusOK
	})
	l.end()
	fetches := p.Fetches()
	if fetches > 20 {
		t.Errorf("keys were asked for %d times", fetches)
	}
	t.Logf("%d calls, and keys were asked for %d times", l.calls.Load(), fetches)
}
