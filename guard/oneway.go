package guard

import (
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/mcp"
)

// OneWay is a Guard that wants messages to the client, and can say whether it
// does its duty all the same on a host which shows it requests only, and which
// can change no body. RequestsOnly returns nil if it does, as it is configured,
// or an error that says which setting needs more.
type OneWay interface {
	RequestsOnly() error
}

// RequestsOnly reports which guards forbid to run the chain on a host that
// sees requests only: those that want messages to the client, unless they are
// [OneWay]. Guards in shadow do not count, as nothing depends on them.
func (c *Chain) RequestsOnly() error {
	var errs []error
	for i := range c.members {
		m := &c.members[i]
		if m.Mode == Shadow {
			continue
		}
		if g, ok := m.Guard.(OneWay); ok {
			if err := g.RequestsOnly(); err != nil {
				errs = append(errs, fmt.Errorf("guards.%s: %w", m.Spec.Name, err))
			}
			continue
		}
		for _, w := range m.Spec.Wants {
			if w.Direction == mcp.ToClient {
				errs = append(errs, fmt.Errorf("guards.%s: it has to see what servers answer", m.Spec.Name))
				break
			}
		}
	}
	return errors.Join(errs...)
}
