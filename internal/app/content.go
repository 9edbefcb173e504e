package app

import (
	"errors"
	"os"

	"github.com/sallyport/sallyport/guard/dlp"
	"github.com/sallyport/sallyport/guard/egress"
	"github.com/sallyport/sallyport/guard/normalise"
	"github.com/sallyport/sallyport/internal/config"
)

// contentPorts are what the guard of content may read, and what the guide's
// egress_control asks of it.
func contentPorts(c config.EgressControl) dlp.Ports {
	return dlp.Ports{
		Read: os.ReadFile,
		Secret: func(reference string) ([]byte, error) {
			s, err := secret(reference)
			return []byte(s), err
		},
		Raise: dlp.Raise{PII: c.PIIDetection, Secret: c.ContentInspection},
	}
}

func (l *lasting) egressPorts(cfg *config.Config) egress.Ports {
	return egress.Ports{Resolver: l.leaving.lookup(cfg.Egress.Resolver), Allowlist: allowlist(cfg.Gateway.EgressControl)}
}

func allowlist(c config.EgressControl) (hosts []string) {
	for _, host := range c.URLAllowlist {
		hosts = append(hosts, string(host))
	}
	return hosts
}

// normalisePorts say which links may stay in what servers answer: those that
// calls may lead to. What is wrong with guards.egress, its own guard reports.
func normalisePorts(cfg *config.Config) normalise.Ports {
	p := normalise.Ports{Inspect: cfg.Gateway.EgressControl.ContentInspection}
	var e egress.Config
	if err := cfg.Guards["egress"].Decode(&e); err != nil {
		return p
	}
	if policy, err := egress.Policy(e, egress.Ports{Allowlist: allowlist(cfg.Gateway.EgressControl)}); err == nil {
		p.Egress = policy
	}
	return p
}

// egressEnforced reports what of the guide's egress_control nothing enforces,
// because the guard that would is off.
func egressEnforced(cfg *config.Config) error {
	c := cfg.Gateway.EgressControl
	var errs []error
	if len(c.URLAllowlist) > 0 && cfg.Guards["egress"].Mode == "off" {
		errs = append(errs, errors.New("gateway.egress_control.url_allowlist: guards.egress.mode is off, so nothing enforces it"))
	}
	if (c.ContentInspection || c.PIIDetection) && cfg.Guards["dlp"].Mode == "off" {
		errs = append(errs, errors.New("gateway.egress_control: guards.dlp.mode is off, so nothing is inspected"))
	}
	if c.ContentInspection && cfg.Guards["injection"].Mode == "off" {
		errs = append(errs, errors.New("gateway.egress_control.content_inspection: guards.injection.mode is off, so nothing looks for injections"))
	}
	if c.ContentInspection && cfg.Guards["normalise"].Mode == "off" {
		errs = append(errs, errors.New("gateway.egress_control.content_inspection: guards.normalise.mode is off, so nothing takes hidden parts out"))
	}
	return errors.Join(errs...)
}
