package app

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/dlp"
	"github.com/sallyport/sallyport/guard/egress"
	"github.com/sallyport/sallyport/guard/injection"
	"github.com/sallyport/sallyport/guard/normalise"
	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/critic"
	"github.com/sallyport/sallyport/internal/remote"
)

// contentPorts are what the guard of content may read, and what the guide's
// egress_control asks of it.
func (l *lasting) contentPorts(cfg *config.Config) dlp.Ports {
	c := cfg.Gateway.EgressControl
	return dlp.Ports{
		Remember: cfg.Content.Remember,
		Read:     func(path string) ([]byte, error) { return os.ReadFile(within(l.dir, path)) },
		Secret: func(reference string) ([]byte, error) {
			s, err := secret(reference)
			return []byte(s), err
		},
		Tokens: tokens,
		Raise:  dlp.Raise{PII: c.PIIDetection, Secret: c.ContentInspection},
	}
}

func (l *lasting) egressPorts(cfg *config.Config) egress.Ports {
	return egress.Ports{Resolver: l.leaving.lookup(cfg.Egress.Resolver), Allowlist: allowlist(cfg.Gateway.EgressControl), Inspect: cfg.Gateway.EgressControl.ContentInspection}
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

// injectionPorts have the guard ask the critic that the operator names.
func injectionPorts(cfg *config.Config) injection.Ports {
	return injection.Ports{Annotate: cfg.Gateway.EgressControl.ContentInspection, Remember: cfg.Content.Remember, Now: time.Now, Critic: func(c injection.Critic) (injection.Asker, error) {
		o, err := remoteOptions(c.URL, policy.Service{Token: c.Token, Certificate: c.Certificate, Key: c.Key, CA: c.CA})
		if err != nil {
			return nil, err
		}
		o.MaxReply = critic.MaxReply
		r, err := remote.New(o)
		if err != nil {
			return nil, fmt.Errorf("url: %w", err)
		}
		return critic.New(r, c.Timeout, c.Concurrency, time.Now), nil
	}}
}

// criticInTime reports a critic that the guard would not wait for.
func criticInTime(cfg *config.Config) error {
	section, ok := cfg.Guards["injection"]
	c, is := section.Config.(*injection.Config)
	if !ok || !is || c.Critic.URL == "" || section.Mode == "off" || c.Critic.Timeout < section.Timeout {
		return nil
	}
	return fmt.Errorf("guards.injection.critic.timeout: is %v, and guards.injection.timeout %v: the guard would give up first", c.Critic.Timeout, section.Timeout)
}

func overBudget(cfg *config.Config) guard.Action {
	if cfg.Content.OverBudget == "allow" {
		return guard.Allow
	}
	return guard.Deny
}
