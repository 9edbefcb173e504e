package identity_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/guardtest"
	"github.com/sallyport/sallyport/guard/identity"
	"github.com/sallyport/sallyport/mcp"
)

func TestWhatNeedsAFreshAuthentication(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name   string
		fresh  identity.Fresh
		auth   time.Time
		acr    string
		tool   string
		admits bool
		passes bool
	}{
		{"nothing asks for it", identity.Never, time.Time{}, "", "pay", true, true},
		{"fresh, for a sensitive tool", identity.Sensitive, now.Add(-time.Minute), "mfa", "pay", true, true},
		{"just fresh", identity.Sensitive, now.Add(-5 * time.Minute), "mfa", "pay", true, true},
		{"a second too old", identity.Sensitive, now.Add(-5*time.Minute - time.Second), "mfa", "pay", true, false},
		{"too weak", identity.Sensitive, now, "pwd", "pay", true, false},
		{"nobody knows when", identity.Sensitive, time.Time{}, "mfa", "pay", true, false},
		{"old, for another tool", identity.Sensitive, now.Add(-time.Hour), "", "read", true, true},
		{"old, for a tool that only the others' line describes", identity.Sensitive, now.Add(-time.Hour), "mfa", "unheard", true, false},
		{"old, where every request needs it", identity.Always, now.Add(-time.Hour), "mfa", "read", false, true},
		{"fresh, where every request needs it", identity.Always, now, "mfa", "read", true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &guard.Principal{Subject: "ana", AuthTime: c.auth, Strength: c.acr}
			s := identity.Spec(identity.Port{Fresh: c.fresh, Source: func(identity.Config) (identity.Authenticator, error) {
				return answers{Pending: func(context.Context) (identity.Answer, error) { return identity.Answer{Principal: p}, nil }}, nil
			}})
			g := guardtest.Build(t, s, func(c *identity.Config) {
				c.Reauth = identity.Reauth{MaxAge: 5 * time.Minute, ACR: []string{"mfa", "hwk"}}
			})
			x := &guard.Exchange{Started: now, Principal: *p, Server: guard.Server{Name: "crm", Tools: map[string]guard.Tool{
				"pay": {Sensitive: true}, "read": {}, "*": {Sensitive: true},
			}}}
			v, err := g.(guard.Admitter).Admit(t.Context(), x)
			if err == nil {
				v, err = v.Pending(t.Context())
			}
			if err != nil || (v.Action == guard.Allow) != c.admits {
				t.Fatalf("admission: %+v, %v", v, err)
			}
			if c.admits {
				v, err = g.Inspect(t.Context(), x, &mcp.Message{Direction: mcp.ToServer, Kind: mcp.Request, Method: "tools/call", Name: c.tool})
				if err != nil || (v.Action == guard.Allow) != c.passes {
					t.Fatalf("message: %+v, %v", v, err)
				}
			}
			if v.Action != guard.Allow && (v.Reason != guard.ReauthenticationRequired || len(v.Obligations) != 1 ||
				!strings.HasPrefix(v.Obligations[0].Value, `Bearer error="insufficient_user_authentication", `) || !strings.HasSuffix(v.Obligations[0].Value, `max_age="300", acr_values="mfa hwk"`)) {
				t.Errorf("%+v", v)
			}
		})
	}
}
