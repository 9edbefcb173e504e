package app

import (
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/guard/binding"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/sealed"
)

// Binding tells whether a stolen session, event or task id is of use.
type Binding struct {
	Bound bool   `json:"bound"`
	Keys  int    `json:"keys"` // that open ids; the first of them seals
	Why   string `json:"why_not,omitempty"`
}

// unbound says what is missing for ids to be bound to callers.
const unbound = "guards.binding.keys is not set: a stolen session, event or task id works for every caller that may call the server"

// bindingSource makes the guard's port, and has s seal what the guard does not
// see: sessions and event ids.
func bindingSource(cfg *config.Config, s *gate.Snapshot) binding.Source {
	method := cfg.Gateway.Authentication
	return func(c binding.Config) (binding.Sealer, error) {
		if !needsToken(method) && !needsCertificate(method) {
			return nil, errors.New("are of no use, because gateway.authentication.method none tells nobody apart")
		}
		secrets := make([]string, len(c.Keys))
		for i, reference := range c.Keys {
			s, err := reference.Resolve()
			if err != nil {
				return nil, fmt.Errorf("[%d]: %w", i, err)
			}
			secrets[i] = s.Reveal()
		}
		keys, err := sealed.New(secrets)
		if err != nil {
			return nil, err
		}
		s.Binding = sealed.Binder{Keys: keys}
		return s.Binding, nil
	}
}

func bindingStatus(cfg *config.Config, s *gate.Snapshot) Binding {
	if b, ok := s.Binding.(sealed.Binder); ok {
		return Binding{Bound: true, Keys: b.Len()}
	}
	if cfg.Gateway.Authentication.Method == "none" {
		return Binding{Why: "gateway.authentication.method is none, so callers cannot be told apart"}
	}
	return Binding{Why: unbound}
}
