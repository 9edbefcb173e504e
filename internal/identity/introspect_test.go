package identity_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	own "github.com/sallyport/sallyport/guard/identity"
	"github.com/sallyport/sallyport/integration/testenv"
	"github.com/sallyport/sallyport/internal/identity"
)

// desk answers introspection requests.
type desk struct {
	*httptest.Server
	asked atomic.Int64
	slow  atomic.Int64 // nanoseconds
	hold  atomic.Pointer[chan struct{}]
	code  atomic.Int64
	mu    sync.Mutex
	says  map[string]map[string]any // by token
}

func newDesk(t testing.TB) *desk {
	d := &desk{says: make(map[string]map[string]any)}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.asked.Add(1)
		time.Sleep(time.Duration(d.slow.Load()))
		if hold := d.hold.Load(); hold != nil {
			<-*hold
		}
		if user, pass, _ := r.BasicAuth(); r.Method != http.MethodPost || user != "gate%3Away" || pass != "s%26cret" {
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
		if code := d.code.Load(); code != 0 {
			http.Error(w, "broken", int(code))
			return
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		if c := d.says[r.PostFormValue("token")]; c != nil {
			_ = json.NewEncoder(w).Encode(c)
			return
		}
		_, _ = w.Write([]byte(`{"active":false}`))
	}))
	t.Cleanup(d.Close)
	return d
}

func (d *desk) say(token string, claims map[string]any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.says[token] = claims
}

func (d *desk) option(c *clock) func(o *identity.Options) {
	return func(o *identity.Options) {
		o.Now = c.now
		o.Secret = func(ref string) (string, error) { return strings.TrimPrefix(ref, "env:"), nil }
		o.Issuers[0].Introspection = own.Introspection{URL: d.URL + "/introspect", ClientID: "gate:way", ClientSecret: "env:s&cret", Prefix: "at_", Cache: 30 * time.Second, Timeout: 200 * time.Millisecond}
	}
}

func TestOpaqueTokensAreWhatTheirIssuerSays(t *testing.T) {
	p, d, c := newProvider(t), newDesk(t), &clock{}
	a := authenticator(t, d.option(c), p)
	says := func(change func(m map[string]any)) map[string]any {
		m := p.good(c.now())
		m["active"] = true
		if change != nil {
			change(m)
		}
		return m
	}
	for _, one := range []struct {
		name, token, why string
		says             map[string]any
		unasked          bool
	}{
		{"active", "at_good", "", says(nil), false},
		{"one audience as text", "at_text", "", says(func(m map[string]any) { m["aud"] = public + "/mcp/crm" }), false},
		{"not active", "at_gone", "not active", nil, false},
		{"active as text", "at_true", "not active", says(func(m map[string]any) { m["active"] = "true" }), false},
		{"for another server", "at_other", "audience", says(func(m map[string]any) { m["aud"] = public + "/mcp/data" }), false},
		{"for nobody in particular", "at_nobody", "audience", says(func(m map[string]any) { delete(m, "aud") }), false},
		{"another issuer's", "at_iss", "another issuer", says(func(m map[string]any) { m["iss"] = "https://other.example" }), false},
		{"expired", "at_old", "expired", says(func(m map[string]any) { m["exp"] = c.now().Add(-time.Second).Unix() }), false},
		{"without an expiry", "at_ever", "no expiry", says(func(m map[string]any) { delete(m, "exp") }), false},
		{"bound to a key, and dpop is off", "at_key", "bound", says(func(m map[string]any) { m["cnf"] = map[string]any{"jkt": newHolder(t).thumb(t)} }), false},
		{"a prefix of no issuer", "xx_good", "no signed JWT", says(nil), true},
		{"with letters that no token has", "at_{}", "no signed JWT", says(nil), true},
		{"oversized", "at_" + strings.Repeat("a", 5000), "no signed JWT", says(nil), true},
	} {
		d.say(one.token, one.says)
		before := d.asked.Load()
		for range 2 { // the second time from memory
			answer, _, err := ask(t, a, asking("crm", one.token))
			if one.why != "" {
				refused(t, answer, err, one.why)
				if !strings.Contains(answer.Challenge, "invalid_token") {
					t.Errorf("%s: %s", one.name, answer.Challenge)
				}
			} else if err != nil || answer.Principal == nil || answer.Principal.Subject != "ana" || answer.Principal.Tenant != "acme" {
				t.Errorf("%s: %+v %v", one.name, answer, err)
			}
		}
		if n := d.asked.Load() - before; one.unasked == (n > 0) || n > 1 {
			t.Errorf("%s: asked %d times", one.name, n)
		}
	}
	d.say("at_good", nil) // revoked at its issuer
	if answer, left, err := ask(t, a, asking("crm", "at_good")); err != nil || answer.Principal == nil || left {
		t.Errorf("remembered: %+v %v", answer, err)
	}
	c.move(31 * time.Second)
	answer, _, err := ask(t, a, asking("crm", "at_good"))
	refused(t, answer, err, "not active")
	d.say("at_good", says(nil))
	c.move(11 * time.Second) // a no is remembered for less
	if answer, _, err := ask(t, a, asking("crm", "at_good")); err != nil || answer.Principal == nil {
		t.Errorf("active again: %+v %v", answer, err)
	}
}

func TestAnIssuerThatDoesNotAnswerIsNoFaultOfTheCallerAndLeftAlone(t *testing.T) {
	p, d, c := newProvider(t), newDesk(t), &clock{}
	a := authenticator(t, d.option(c), p)
	d.code.Store(500)
	for i := range 20 {
		if answer, _, err := ask(t, a, asking("crm", fmt.Sprintf("at_%d", i))); err == nil || answer.Principal != nil || answer.Challenge != "" {
			t.Fatalf("decided without an answer: %+v", answer)
		}
	}
	if n := d.asked.Load(); n > 6 {
		t.Errorf("asked %d times of 20 while it failed", n)
	}
	d.code.Store(0)
	c.move(3 * time.Second)
	m := p.good(c.now())
	m["active"] = true
	d.say("at_good", m)
	if answer, _, err := ask(t, a, asking("crm", "at_good")); err != nil || answer.Principal == nil {
		t.Errorf("after its return: %+v %v", answer, err)
	}
	d.slow.Store(int64(time.Second))
	began := time.Now()
	if answer, _, err := ask(t, a, asking("crm", "at_slow")); err == nil {
		t.Errorf("slow: %+v after %v", answer, time.Since(began))
	}
}

func TestThoseWhoShowOneOpaqueTokenShareOneQuestion(t *testing.T) {
	p, d, c := newProvider(t), newDesk(t), &clock{}
	a := authenticator(t, func(o *identity.Options) {
		d.option(c)(o)
		o.Issuers[0].Introspection.Timeout = 5 * time.Second
	}, p)
	m := p.good(c.now())
	m["active"] = true
	d.say("at_good", m)
	d.slow.Store(int64(200 * time.Millisecond))
	var all sync.WaitGroup
	for range 30 {
		all.Go(func() {
			if answer, _, err := ask(t, a, asking("crm", "at_good")); err != nil || answer.Principal == nil {
				t.Errorf("%+v %v", answer, err)
			}
		})
	}
	all.Wait()
	if n := d.asked.Load(); n > 3 {
		t.Errorf("asked %d times for one token", n)
	}
}

func TestAJWTThatIsForSomethingElseIsNotMadeAnAccessTokenByItsIssuer(t *testing.T) {
	p, d, c := newProvider(t), newDesk(t), &clock{}
	a := authenticator(t, func(o *identity.Options) {
		d.option(c)(o)
		o.Issuers[0].Introspection.Prefix = ""
	}, p)
	said := p.good(c.now())
	said["active"] = true
	for _, typ := range []string{"logout+jwt", "oauth-id-jag+jwt", "dpop+jwt"} {
		token := p.token(t, "k1", typ, p.good(c.now()))
		d.say(token, said)
		answer, _, err := ask(t, a, asking("crm", token))
		refused(t, answer, err, "not for access")
	}
	if n := d.asked.Load(); n > 0 {
		t.Errorf("the issuer was shown %d of them", n)
	}
}

// Anybody can make tokens up. Whoever does from one address, or from many, must
// not keep an issuer so busy that good tokens find no place.
func TestMadeUpTokensDoNotCrowdOutThoseThatWereGood(t *testing.T) {
	p, d, c := newProvider(t), newDesk(t), &clock{}
	a := authenticator(t, func(o *identity.Options) {
		d.option(c)(o)
		o.Issuers[0].Introspection.Timeout = 10 * time.Second
	}, p)
	m := p.good(c.now())
	m["active"] = true
	d.say("at_good", m)
	d.say("at_new", m)
	from := func(address, token string) (own.Answer, error) {
		x := asking("crm", token)
		x.Source = netip.AddrPortFrom(netip.MustParseAddr(address), 1)
		answer, _, err := ask(t, a, x)
		return answer, err
	}
	if answer, err := from("192.0.2.1", "at_good"); err != nil || answer.Principal == nil {
		t.Fatalf("%+v %v", answer, err)
	}
	c.move(31 * time.Second) // the answer is forgotten
	hold := make(chan struct{})
	d.hold.Store(&hold)
	var all sync.WaitGroup
	var crowded atomic.Int64
	flood := func(n int, address func(i int) string) {
		for i := range n {
			all.Go(func() {
				if _, err := from(address(i), fmt.Sprintf("at_made-up-%d-%d", n, i)); err != nil {
					crowded.Add(1)
				}
			})
		}
	}
	before := d.asked.Load()
	flood(40, func(i int) string { return fmt.Sprintf("2001:db8::%x", i+1) }) // one /64
	testenv.Eventually(t, time.Minute, "one neighbourhood has its share", func() bool { return crowded.Load() == 16 && d.asked.Load()-before == 24 })
	ok := make(chan error, 2)
	go func() { // somebody new, from elsewhere
		_, err := from("192.0.2.2", "at_new")
		ok <- err
	}()
	testenv.Eventually(t, time.Minute, "a stranger is asked about", func() bool { return d.asked.Load()-before == 25 })
	flood(41, func(i int) string { return fmt.Sprintf("203.0.113.%d", i) }) // many addresses
	testenv.Eventually(t, time.Minute, "strangers have their share", func() bool { return crowded.Load() == 16+18 && d.asked.Load()-before == 48 })
	go func() {
		_, err := from("192.0.2.1", "at_good")
		ok <- err
	}()
	testenv.Eventually(t, time.Minute, "what was good is asked about", func() bool { return d.asked.Load()-before == 49 })
	close(hold)
	for range 2 {
		if err := <-ok; err != nil {
			t.Error(err)
		}
	}
	all.Wait()
	if answer, err := from("2001:db8::ffff", "at_another"); err != nil || answer.Principal != nil {
		t.Errorf("after the flood: %+v %v", answer, err)
	}
}
