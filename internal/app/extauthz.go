package app

import (
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/guard"
)

// requestsOnly says why ext_authz must not serve the chain, or nil. It is an
// error where the operator's Envoys depend on ext_authz.
func requestsOnly(role string, chain *guard.Chain) (unfit, err error) {
	if role == "off" {
		return errors.New("extauthz.role is off"), nil
	}
	unfit = chain.RequestsOnly()
	if unfit != nil && role == "required" {
		return nil, fmt.Errorf("extauthz.role is required, and ext_authz shows guards neither what servers answer nor lets them edit: %w; run ext_proc instead, or turn the guard off", unfit)
	}
	return unfit, nil
}
