package identity_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/identity"
)

func TestARememberedTokenDoesNotHelpWhoWasRevoked(t *testing.T) {
	p := newProvider(t)
	why, broken := "", error(nil)
	a := authenticator(t, func(o *identity.Options) {
		o.Revoked = func(p *guard.Principal) (string, error) {
			if p.Subject != "ana" || p.Issued.IsZero() {
				t.Errorf("asked about %+v", p)
			}
			return why, broken
		}
	}, p)
	token := p.token(t, "k1", "", p.good(time.Now()))
	for range 2 {
		if answer, _, err := ask(t, a, asking("crm", token)); err != nil || answer.Principal == nil {
			t.Fatal(answer, err)
		}
	}
	why = "subject ana was revoked"
	answer, left, err := ask(t, a, asking("crm", token))
	refused(t, answer, err, why)
	if answer.Reason != guard.IdentityRevoked || left || !strings.Contains(answer.Challenge, `error="invalid_token"`) || strings.Contains(answer.Challenge, "revoked") {
		t.Errorf("%+v, left the process: %t", answer, left)
	}
	broken = errors.New("nobody knows")
	if answer, _, err := ask(t, a, asking("crm", token)); err == nil || answer.Principal != nil {
		t.Errorf("served without a list: %+v", answer)
	}
}

func TestAPeerCanBeRevoked(t *testing.T) {
	a := authenticator(t, func(o *identity.Options) {
		o.Token, o.Certificate = false, true
		o.Revoked = func(p *guard.Principal) (string, error) { return "revoked: " + p.Peer, nil }
	})
	x := asking("crm")
	x.Peer = guard.Peer{Verified: true, Name: "spiffe://corp/desk"}
	answer, _, err := ask(t, a, x)
	refused(t, answer, err, "revoked: spiffe://corp/desk")
	if answer.Reason != guard.IdentityRevoked || answer.Challenge != "" {
		t.Errorf("%+v", answer)
	}
}

// Whoever is about to be revoked, or to have its token expire, opens requests and
// keeps their bodies for later.
func TestABodyThatComesLateIsOfWhoeverItsCallerIsByThen(t *testing.T) {
	p := newProvider(t)
	now, why, broken := time.Now(), "", error(nil)
	a := authenticator(t, func(o *identity.Options) {
		o.Now = func() time.Time { return now }
		o.Revoked = func(*guard.Principal) (string, error) { return why, broken }
	}, p)
	x := asking("crm", p.token(t, "k1", "", p.good(now)))
	x.Started = now
	answer, _, err := ask(t, a, x)
	if err != nil || answer.Principal == nil {
		t.Fatal(answer, err)
	}
	x.Principal = *answer.Principal
	fine := func(when string) {
		t.Helper()
		if answer, err := a.Reconsider(x); err != nil || answer.Principal == nil {
			t.Errorf("%s: %+v, %v", when, answer, err)
		}
	}
	fine("at once")
	now = now.Add(30 * time.Second)
	fine("after 30 s")
	why = "subject ana was revoked"
	if answer, err := a.Reconsider(x); err != nil || answer.Principal != nil || answer.Reason != guard.IdentityRevoked || !strings.Contains(answer.Challenge, `error="invalid_token"`) {
		t.Errorf("revoked: %+v, %v", answer, err)
	}
	why, broken = "", errors.New("nobody knows")
	if answer, err := a.Reconsider(x); err == nil || answer.Principal != nil {
		t.Errorf("without a list: %+v", answer)
	}
	broken, now = nil, x.Principal.Expires
	answer, err = a.Reconsider(x)
	refused(t, answer, err, "expired")
}
