package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/guard/dlp"
	"github.com/sallyport/sallyport/guard/egress"
	"github.com/sallyport/sallyport/guard/normalise"
	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/inspect/destination"
	"github.com/sallyport/sallyport/internal/inspect/lines"
	"github.com/sallyport/sallyport/internal/inspect/normal"
	"github.com/sallyport/sallyport/internal/inspect/recogniser"
)

// redirects is how often a destination may send on before it counts as one
// that leads astray.
const redirects = 5

// Detector returns a detector by name, as the configuration at path sets it up;
// without a path, as it is shipped. The detector url needs a configuration, or
// a policy file in the form of the test data.
func Detector(name, path, policy string) (lines.Detector, error) {
	var (
		d   dlp.Config
		e   egress.Config
		cfg = new(config.Config)
	)
	if path != "" {
		var err error
		if cfg, err = config.Load(path, ConfigOptions()); err != nil {
			return nil, err
		}
		if err := errors.Join(cfg.Guards["dlp"].Decode(&d), cfg.Guards["egress"].Decode(&e)); err != nil {
			return nil, err
		}
	}
	switch name {
	case "pii", "secrets":
		class := recogniser.PII
		if name == "secrets" {
			class = recogniser.Secret
		}
		own, err := ownRecognisers(filepath.Dir(path), d.Recognisers)
		if err != nil {
			return nil, err
		}
		return lines.NewContent(class, own...)
	case "injection":
		return lines.NewInjection()
	case "url":
		p, n, err := urlPolicy(cfg, e, path, policy)
		if err != nil {
			return nil, err
		}
		return lines.NewURL(p, n), nil
	case "sanitize":
		return sanitizer(cfg, e, path, policy)
	case "toolset":
		return catalog.Toolset, nil
	}
	return nil, fmt.Errorf("there is no detector %q; there are pii, secrets, injection, url, sanitize and toolset", name)
}

func ownRecognisers(dir string, paths []string) ([]recogniser.Recogniser, error) {
	var all []recogniser.Recogniser
	for _, path := range paths {
		text, err := os.ReadFile(within(dir, path))
		if err != nil {
			return nil, err
		}
		list, err := recogniser.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, list...)
	}
	return all, nil
}

// sanitizer cleans as guards.normalise would, to Markdown where that keeps texts
// as they are. Without a configuration and a policy, every link stays.
func sanitizer(cfg *config.Config, e egress.Config, path, policy string) (lines.Detector, error) {
	var n normalise.Config
	if path != "" {
		if err := cfg.Guards["normalise"].Decode(&n); err != nil {
			return nil, err
		}
	}
	form := normal.Markdown
	switch n.Text {
	case "plain":
		form = normal.Plain
	case "html":
		form = normal.HTML
	}
	ports := normalise.Ports{}
	if path != "" || policy != "" {
		p, _, err := urlPolicy(cfg, e, path, policy)
		if err != nil {
			return nil, err
		}
		ports.Egress = p
	}
	admits, err := normalise.Destinations(n, ports)
	if err != nil {
		return nil, err
	}
	return lines.NewSanitize(normal.New(form, admits)), nil
}

func urlPolicy(cfg *config.Config, e egress.Config, path, policy string) (*destination.Policy, int, error) {
	switch {
	case policy != "":
		text, err := os.ReadFile(policy)
		if err != nil {
			return nil, 0, err
		}
		return lines.ReadPolicy(text)
	case path == "":
		return nil, 0, errors.New("url needs the allow-list of a configuration (-c) or of a policy file (--policy)")
	}
	p, err := egress.Policy(e, egress.Ports{Allowlist: allowlist(cfg.Gateway.EgressControl)})
	return p, redirects, err
}
