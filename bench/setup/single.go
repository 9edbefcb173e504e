package setup

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// StartGateway starts nothing but the gateway, with a configuration of the
// caller's. Its set-up is the only one of the rig.
func StartGateway(ctx context.Context, o Options, config string) (*Rig, error) {
	r := &Rig{o: o, listeners: map[string]string{}}
	s := Setup{Name: Sallyport}
	err := os.WriteFile(filepath.Join(o.Dir, s.Name+".yaml"), []byte(config), 0o600)
	if err == nil {
		err = r.launch(ctx, &s)
	}
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("setup: gateway: %w", err)
	}
	r.Setups = []Setup{s}
	return r, nil
}
