package opa

import (
	"encoding/json"
	"fmt"

	"github.com/open-policy-agent/opa/v1/bundle"
)

// About is what a bundle's manifest says of its making. It is worth as much as
// the signature over it.
type About struct {
	Version string `json:"-"`
	Commit  string `json:"commit,omitempty"` // that it was built from
	Tests   Tests  `json:"tests"`
}

// Tests is how a bundle's tests went when it was built, after which it does not
// hold them any more.
type Tests struct {
	Passed   int     `json:"passed"`
	Failed   int     `json:"failed"`
	Coverage float64 `json:"coverage,omitempty"` // of the rules' lines, in percent
}

const aboutKey = "sallyport" // of a manifest's metadata

// AboutOf reads a manifest; what it does not say is empty.
func AboutOf(m *bundle.Manifest) About {
	a := About{}
	if text, err := json.Marshal(m.Metadata[aboutKey]); err == nil {
		if json.Unmarshal(text, &a) != nil {
			a = About{} // half of a word is none
		}
	}
	a.Version = m.Revision
	return a
}

// metadata is About as a manifest holds it.
func (a About) metadata() (map[string]any, error) {
	text, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, err
	}
	return m, nil
}

// IsVersion reports whether a revision is a semantic version (semver.org, 2.0.0)
// without build metadata.
func IsVersion(revision string) bool { return semver.MatchString(revision) }

// Say has the bundle's manifest say how it was made.
func (b *Bundle) Say(a About) error {
	m, err := a.metadata()
	if err != nil {
		return fmt.Errorf("opa: build: %w", err)
	}
	all := map[string]any{}
	for k, v := range b.Manifest.Metadata {
		all[k] = v
	}
	all[aboutKey] = m
	b.Manifest.Metadata = all
	return nil
}
