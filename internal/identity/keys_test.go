package identity_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/identity"
)

func TestKeysRotateWithoutAFailedRequest(t *testing.T) {
	p, c := newProvider(t), &clock{}
	a := authenticator(t, func(o *identity.Options) { o.Now = c.now }, p)
	old := p.token(t, "k1", "", p.good(c.now()))
	if answer, _, err := ask(t, a, asking("crm", old)); err != nil || answer.Principal == nil {
		t.Fatal(answer, err)
	}
	p.rotate(t, "k2")
	c.move(time.Minute)
	var all sync.WaitGroup
	for i := range 50 {
		claims := p.good(c.now())
		claims["jti"] = fmt.Sprint(i)
		token := p.token(t, "k2", "", claims)
		all.Go(func() {
			if answer, _, err := ask(t, a, asking("crm", token)); err != nil || answer.Principal == nil {
				t.Errorf("a token of the new key: %+v %v", answer, err)
			}
		})
	}
	all.Wait()
	if n := p.requests.Load(); n > 3 {
		t.Errorf("%d requests for keys, want one for all who wait", n)
	}
	answer, _, err := ask(t, a, asking("crm", old))
	refused(t, answer, err, "key") // cached, but its key has gone
}

func TestKnownKeysOutliveTheirIssuersSilence(t *testing.T) {
	p, c, pool := newProvider(t), &clock{}, new(identity.Pool)
	change := func(o *identity.Options) { o.Now, o.Keys = c.now, pool }
	a := authenticator(t, change, p)
	if answer, _, err := ask(t, a, asking("crm", p.token(t, "k1", "", p.good(c.now())))); err != nil || answer.Principal == nil {
		t.Fatal(answer, err)
	}
	p.down.Store(true)
	c.move(12 * time.Hour)
	if answer, left, err := ask(t, a, asking("crm", p.token(t, "k1", "", p.good(c.now())))); err != nil || answer.Principal == nil || left {
		t.Errorf("after 12 h: %+v, left the process: %t, %v", answer, left, err)
	}
	a = authenticator(t, change, p) // as after a reload
	if answer, _, err := ask(t, a, asking("crm", p.token(t, "k1", "", p.good(c.now())))); err != nil || answer.Principal == nil {
		t.Errorf("after a reload: %+v %v", answer, err)
	}
	c.move(13 * time.Hour)
	if answer, _, err := ask(t, a, asking("crm", p.token(t, "k1", "", p.good(c.now())))); err == nil {
		t.Errorf("after a day keys are believed still: %+v", answer)
	}
	p.down.Store(false)
	c.move(time.Minute)
	if answer, _, err := ask(t, a, asking("crm", p.token(t, "k1", "", p.good(c.now())))); err != nil || answer.Principal == nil {
		t.Errorf("after its return: %+v %v", answer, err)
	}
}

// An issuer may change its key just after somebody had its keys fetched, be it
// by a token with a key id that was made up.
func TestAKeyThatIsUsedJustAfterKeysWereFetchedIsKnown(t *testing.T) {
	p := newProvider(t)
	a := authenticator(t, nil, p)
	for i := range 3 {
		answer, _, err := ask(t, a, asking("crm", sign(t, "ES256", p.key(fmt.Sprintf("k%d", i+1)), "made-up", "", p.good(time.Now()))))
		refused(t, answer, err, "key")
		next := fmt.Sprintf("k%d", i+2)
		p.rotate(t, next)
		if answer, _, err := ask(t, a, asking("crm", p.token(t, next, "", p.good(time.Now())))); err != nil || answer.Principal == nil {
			t.Fatalf("%s: %+v %v", next, answer, err)
		}
	}
}

// Somebody who sends tokens with key ids made up must neither make the gateway
// flood the issuer nor pile up requests that wait.
func TestUnknownKeyIDsDoNotFloodTheIssuer(t *testing.T) {
	p := newProvider(t)
	a := authenticator(t, nil, p)
	if answer, _, err := ask(t, a, asking("crm", p.token(t, "k1", "", p.good(time.Now())))); err != nil || answer.Principal == nil {
		t.Fatal(answer, err)
	}
	before := p.requests.Load()
	forged := sign(t, "ES256", p.key("k1"), "made-up", "", p.good(time.Now()))
	var all sync.WaitGroup
	var turnedAway atomic.Int64
	for range 3000 {
		all.Go(func() {
			switch answer, _, err := ask(t, a, asking("crm", forged)); {
			case err != nil:
				turnedAway.Add(1)
			case answer.Principal != nil:
				t.Error("it is somebody")
			}
		})
	}
	all.Wait()
	if n := p.requests.Load() - before; n > 10 {
		t.Errorf("%d requests for keys", n)
	}
	if turnedAway.Load() == 0 {
		t.Error("3000 requests waited at the same time")
	}
}

// While an issuer is silent, tokens of a key that is not known are refused as
// something that cannot be judged now, at once, and for no fault of theirs.
func TestAnUnknownKeyOfASilentIssuerIsRefusedAtOnce(t *testing.T) {
	p, c := newProvider(t), &clock{}
	a := authenticator(t, func(o *identity.Options) { o.Now = c.now }, p)
	known := p.token(t, "k1", "", p.good(c.now()))
	if answer, _, err := ask(t, a, asking("crm", known)); err != nil || answer.Principal == nil {
		t.Fatal(answer, err)
	}
	p.down.Store(true)
	c.move(time.Minute)
	p.rotate(t, "k2")
	next := p.token(t, "k2", "", p.good(c.now()))
	for range 50 { // the first asks the issuer; the others do not wait
		if answer, _, err := ask(t, a, asking("crm", next)); err == nil {
			t.Errorf("decided without the key: %+v", answer)
		}
		if answer, left, err := ask(t, a, asking("crm", known)); err != nil || answer.Principal == nil || left {
			t.Errorf("a key that is known: %+v, left the process: %t, %v", answer, left, err)
		}
	}
	p.down.Store(false)
	c.move(3 * time.Second)
	if answer, _, err := ask(t, a, asking("crm", next)); err != nil || answer.Principal == nil {
		t.Errorf("after its return: %+v %v", answer, err)
	}
}

func TestAnIssuerThatIsDownIsNoFaultOfTheCaller(t *testing.T) {
	p := newProvider(t)
	a := authenticator(t, nil, p)
	token := p.token(t, "k1", "", p.good(time.Now()))
	p.down.Store(true)
	if answer, _, err := ask(t, a, asking("crm", token)); err == nil {
		t.Errorf("decided without keys: %+v", answer)
	}
}

func TestARememberedTokenIsForgottenWhenItExpires(t *testing.T) {
	p, c := newProvider(t), &clock{}
	a := authenticator(t, func(o *identity.Options) { o.Now, o.TokenCache = c.now, time.Hour }, p)
	token := p.token(t, "k1", "", p.good(c.now())) // for ten minutes
	for range 3 {
		if answer, _, err := ask(t, a, asking("crm", token)); err != nil || answer.Principal == nil {
			t.Fatal(answer, err)
		}
	}
	answer, _, err := ask(t, a, asking("data", token))
	refused(t, answer, err, "audience") // what is remembered is who, not where
	c.move(10*time.Minute + time.Second)
	answer, _, err = ask(t, a, asking("crm", token))
	refused(t, answer, err, "expired")
}

func BenchmarkATokenThatIsRemembered(b *testing.B) { benchmark(b, 5*time.Minute) }
func BenchmarkATokenThatIsVerified(b *testing.B)   { benchmark(b, 0) }

func benchmark(b *testing.B, cache time.Duration) {
	p := newProvider(b)
	a := authenticator(b, func(o *identity.Options) { o.TokenCache = cache }, p)
	x := asking("crm", p.token(b, "k1", "", p.good(time.Now().Add(time.Second))))
	if answer, _, err := ask(b, a, x); err != nil || answer.Principal == nil {
		b.Fatal(answer, err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if answer, err := a.Authenticate(x); err != nil || answer.Principal == nil {
			b.Fatal(answer, err)
		}
	}
}
