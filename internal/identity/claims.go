package identity

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	own "github.com/sallyport/sallyport/guard/identity"

	"github.com/sallyport/sallyport/guard"
)

// claims are those of one verified token.
type claims map[string]any

// at returns the claim at path: a claim of exactly that name, since names may
// hold dots, or else what the path leads to.
func (c claims) at(path string) any {
	if path == "" {
		return nil
	}
	if v, ok := c[path]; ok {
		return v
	}
	var v any = map[string]any(c)
	for name := range strings.SplitSeq(path, ".") {
		object, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = object[name]
	}
	return v
}

// text returns the claim at path when it is a string.
func (c claims) text(path string) string {
	s, _ := c.at(path).(string)
	return s
}

// words returns the strings of a list, or the words of a string, sorted.
func (c claims) words(path string) []string {
	var out []string
	switch v := c.at(path).(type) {
	case string:
		out = strings.Fields(v)
	case []any:
		for _, item := range v {
			if s, ok := item.(string); ok && s != "" {
				out = append(out, s)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// date returns a NumericDate (RFC 7519, 2), the zero time when it is absent.
func (c claims) date(name string) (time.Time, error) {
	raw, ok := c[name]
	if !ok {
		return time.Time{}, nil
	}
	n, ok := raw.(json.Number)
	if !ok {
		return time.Time{}, errors.New(name + " is no number")
	}
	f, err := n.Float64()
	if err != nil || f <= 0 || f > 1<<40 {
		return time.Time{}, errors.New(name + " is no date")
	}
	seconds, fraction := math.Modf(f)
	return time.Unix(int64(seconds), int64(fraction*1e9)), nil
}

// maxActors bounds a delegation chain.
const maxActors = 8

// actors returns who acts for the subject, nearest first (RFC 8693, 4.1).
func (c claims) actors() ([]string, error) {
	var out []string
	for v, ok := c["act"]; ok; {
		object, isObject := v.(map[string]any)
		name, _ := object["sub"].(string)
		if !isObject || name == "" || len(out) == maxActors {
			return nil, errors.New("act is no chain of at most 8 actors with a sub each")
		}
		out = append(out, name)
		v, ok = object["act"]
	}
	return out, nil
}

// principal maps the claims as the issuer's configuration says.
func (c claims) principal(i *own.Issuer) (guard.Principal, error) {
	p := guard.Principal{
		Subject: c.text(i.Claims.Subject), Issuer: i.URL, Client: c.text(i.Claims.Client), Tenant: i.Tenant,
		Agent: c.text(i.Claims.Agent), Roles: c.words(i.Claims.Roles), Scopes: c.words(i.Claims.Scopes),
		Project: c.text(i.Claims.Project), Task: c.text(i.Claims.Task), TaskType: c.text(i.Claims.TaskType),
		Strength: c.text("acr"), TokenID: c.text("jti"),
	}
	if p.Subject == "" {
		return p, errors.New("there is no " + i.Claims.Subject)
	}
	if p.Tenant == "" {
		p.Tenant = c.text(i.Claims.Tenant)
	}
	if p.Client == "" {
		p.Client = c.text("azp")
	}
	var err error
	if p.Actors, err = c.actors(); err != nil {
		return p, err
	}
	if len(p.Actors) > 0 {
		p.Agent = p.Actors[0]
	}
	if p.AuthTime, err = c.date("auth_time"); err != nil {
		return p, err
	}
	for _, s := range append([]string{p.Subject, p.Client, p.Tenant, p.Project, p.Agent, p.Task, p.TaskType, p.Strength, p.TokenID}, p.Actors...) {
		if len(s) > maxText || hasControl(s) {
			return p, errors.New("a claim is too long or holds control characters")
		}
	}
	return p, nil
}

// maxText bounds what a claim may put into receipts and keys, in bytes.
const maxText = 512

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}
