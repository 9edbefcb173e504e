// Package catalog remembers the definitions of MCP servers: the form in which
// each is trusted, and the one that the server offers now.
package catalog

import (
	"encoding/json"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/sallyport/sallyport/guard/schema"
	"github.com/sallyport/sallyport/internal/inspect/definition"
)

// Record is what is known of one definition.
type Record struct {
	Kind        definition.Kind `json:"kind"`
	Name        string          `json:"name"`
	Pinned      *Form           `json:"pinned,omitempty"`      // the trusted form; none while nobody came to trust one
	Offered     *Form           `json:"offered,omitempty"`     // the form that the server lists now, where it is another
	Quarantined string          `json:"quarantined,omitempty"` // by an operator: why
	Doubted     bool            `json:"doubted,omitempty"`     // the suspicions are such that the form is held
	Changes     int             `json:"changes,omitempty"`     // since an operator pinned it
	Suspicions  []string        `json:"suspicions,omitempty"`  // about the offered form, or the pinned one where there is no other
}

// Form is a definition at a time.
type Form struct {
	Hash       string          `json:"hash"` // SHA-256 of the definition, in hex
	Definition json.RawMessage `json:"definition"`
	At         time.Time       `json:"at"`           // when it was first seen, or pinned
	By         string          `json:"by,omitempty"` // who pinned it: "first use" or an operator

	once sync.Once   // see schemas
	tool schema.Tool // compiled when it is first called
}

// page is what is known of one server. It is immutable: changes make a new one.
type page struct {
	records map[key]*Record
	folded  map[key]string // a tool's or prompt's name but for its case -> the name
	seen    map[key]string // SHA-256 of the bytes in which the form was last listed, so that most lists need no second look
}

type key struct {
	kind definition.Kind
	name string
}

// fold makes the index by names without case. It is the last change of a page.
func (p *page) fold() {
	p.folded = make(map[key]string)
	for k := range p.records {
		if k.kind == definition.Tool || k.kind == definition.Prompt {
			p.folded[key{k.kind, foldName(k.name)}] = k.name
		}
	}
}

// like returns the known name that name is but for its case.
func (p *page) like(k definition.Kind, name string) string {
	if len(p.folded) == 0 || k != definition.Tool && k != definition.Prompt || len(name) > maxName {
		return ""
	}
	return p.folded[key{k, foldName(name)}]
}

// foldName is one form of all names that [strings.EqualFold] takes for equal.
func foldName(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return least
	}, name)
}

func (r *Record) key() key { return key{r.Kind, r.Name} }

// state is how an operator is told where a record stands.
func (r *Record) state() string {
	switch {
	case r.Quarantined != "":
		return "quarantined"
	case r.Pinned == nil:
		return "waiting"
	case r.Offered != nil:
		return "changed"
	}
	return "pinned"
}

// clone returns a page that may be changed.
func (p *page) clone() *page {
	n := &page{records: make(map[key]*Record, len(p.records)+1), seen: make(map[key]string, len(p.seen)+1)}
	for k, r := range p.records {
		n.records[k] = r
	}
	for k, s := range p.seen {
		n.seen[k] = s
	}
	return n
}
