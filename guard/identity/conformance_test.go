package identity_test

import (
	"context"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/guardtest"
	"github.com/sallyport/sallyport/guard/identity"
)

// answers is an authenticator that always finds the same.
type answers identity.Answer

func (a answers) Authenticate(*guard.Exchange) (identity.Answer, error) {
	return identity.Answer(a), nil
}

func (answers) Reconsider(x *guard.Exchange) (identity.Answer, error) {
	return identity.Answer{Principal: &x.Principal}, nil
}

func TestConformance(t *testing.T) {
	ada := identity.Answer{Principal: &guard.Principal{Subject: "ada", Issuer: "https://id.example"}}
	for name, a := range map[string]identity.Answer{
		"found":   ada,
		"nobody":  {Challenge: `Bearer scope="mcp"`, Detail: "no token"},
		"pending": {Pending: func(context.Context) (identity.Answer, error) { return ada, nil }},
	} {
		t.Run(name, func(t *testing.T) {
			guardtest.Run(t, identity.Spec(identity.Port{Source: func(identity.Config) (identity.Authenticator, error) { return answers(a), nil }, Fresh: identity.Sensitive}))
		})
	}
}
