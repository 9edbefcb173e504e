// Package subject answers what people and tenants may ask about receipts: which
// there are of them, a copy, and that they cannot be read any more. Each answer
// leaves a receipt of its own.
package subject

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/audit/folder"
	"github.com/sallyport/sallyport/internal/audit/keyring"
	"github.com/sallyport/sallyport/internal/audit/ledger"
	"github.com/sallyport/sallyport/internal/audit/verify"
)

// About is whom a request is about: a subject, at any issuer and tenant that are
// not named, or a whole tenant.
type About struct {
	Tenant  string   `json:"tenant,omitempty"`
	Issuer  string   `json:"issuer,omitempty"`
	Subject string   `json:"subject,omitempty"`
	Also    []string `json:"also,omitempty"`  // what the person is called besides, at any issuer
	Exact   bool     `json:"exact,omitempty"` // mail addresses in another case are other people's
}

// Validate reports what is missing.
func (a *About) Validate() error {
	if a.Subject == "" && (a.Tenant == "" || a.Issuer != "" || len(a.Also) > 0) || slices.Contains(a.Also, "") {
		return errors.New("subject: say whom it is about: a subject, or a tenant as a whole")
	}
	return nil
}

// Owns reports whether a key is one of those that the request is about.
func (a *About) Owns(k *keyring.Key) bool {
	o := &k.Owner
	if a.Subject == "" {
		return o.Tenant == a.Tenant
	}
	return o.Kind == keyring.Subject && a.isSubject(o.Issuer, o.Subject) && (a.Tenant == "" || o.Tenant == a.Tenant)
}

// same reports whether two names are one person's.
func (a *About) same(name, have string) bool {
	return name == have || !a.Exact && audit.SameName(name, have)
}

// isSubject reports whether somebody is who the request is about.
func (a *About) isSubject(issuer, name string) bool {
	return a.same(a.Subject, name) && (a.Issuer == "" || issuer == a.Issuer) || a.isAlso(name)
}

func (a *About) isAlso(name string) bool {
	return slices.ContainsFunc(a.Also, func(also string) bool { return a.same(also, name) })
}

// isNamed reports whether a name that has no issuer is the person's.
func (a *About) isNamed(name string) bool { return a.same(a.Subject, name) || a.isAlso(name) }

// mentioned reports whether a line has a mail address of the person in it. Other names
// are words, which stand anywhere.
func (a *About) mentioned(line []byte) bool {
	folded := ""
	for _, name := range append([]string{a.Subject}, a.Also...) {
		switch {
		case !audit.IsMail(name):
		case a.Exact:
			if hasAddress(string(line), name) {
				return true
			}
		default:
			if folded == "" {
				folded = audit.Fold(string(line))
			}
			if hasAddress(folded, audit.Fold(name)) {
				return true
			}
		}
	}
	return false
}

// hasAddress reports whether a text has a mail address in it that is not a part of a
// longer one.
func hasAddress(text, name string) bool {
	part := func(c byte) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c >= 0x80
	}
	for {
		i := strings.Index(text, name)
		if i < 0 {
			return false
		}
		end := i + len(name)
		before := i > 0 && (part(text[i-1]) || text[i-1] == '.' || text[i-1] == '+')
		after := end < len(text) && (part(text[end]) || text[end] == '.' && end+1 < len(text) && part(text[end+1]))
		if !before && !after {
			return true
		}
		text = text[i+1:]
	}
}

// Pseudonyms returns the names under which receipts know the subject, sorted.
func (a *About) Pseudonyms(ring *keyring.Ring) []string {
	var out []string
	if ring != nil && a.Subject != "" {
		ring.Keys(func(k *keyring.Key) {
			if a.Owns(k) {
				out = append(out, k.ID)
			}
		})
	}
	slices.Sort(out)
	return out
}

// Source is a receipt directory, and what there is to say of it as evidence.
type Source struct {
	Path     string `json:"path"`
	Replica  string `json:"replica,omitempty"`
	OK       bool   `json:"ok"`                 // it is as it was written
	Findings int    `json:"findings,omitempty"` // what is not
	Receipts uint64 `json:"receipts"`
	LastSeq  uint64 `json:"last_seq"`
	Head     string `json:"head,omitempty"` // hash of the last checkpoint
}

// Look verifies a directory.
func Look(path string, keys chain.Keys) (Source, error) {
	r, err := verify.Directory(path, verify.Options{Keys: keys})
	if err != nil {
		return Source{}, err
	}
	s := Source{Path: path, Replica: r.Replica, OK: r.OK && len(keys) > 0, Findings: len(r.Findings) + r.More, Receipts: r.Receipts, LastSeq: r.LastSeq}
	text, err := folder.Read(filepath.Join(path, ledger.CheckpointFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("subject: %w", err)
	}
	text = bytes.TrimSuffix(text, []byte("\n"))
	if at := bytes.LastIndexByte(text, '\n') + 1; at < len(text) {
		s.Head = chain.LineHash(text[at:]).String()
	}
	return s, nil
}

// What somebody is in a receipt.
const (
	AsCaller  = "caller"    // the call was made for her
	AsActor   = "actor"     // she acted for somebody: the agent, or one of the chain
	Mentioned = "mentioned" // only her mail address stands in it
)

// Found is one receipt about somebody.
type Found struct {
	Directory string          `json:"directory"`
	File      string          `json:"file"`
	Line      uint64          `json:"line"`
	As        []string        `json:"as,omitempty"`       // what she is in it; nothing where the request is about a tenant
	InClear   bool            `json:"in_clear,omitempty"` // it names the subject, and no key can take that away
	Receipt   json.RawMessage `json:"receipt"`
}

// Only reports whether she is that in it and nothing else.
func (f *Found) Only(as string) bool { return len(f.As) == 1 && f.As[0] == as }

// people are the members of a receipt that name people.
type people struct {
	Subject   string   `json:"subject"`
	Issuer    string   `json:"issuer"`
	Pseudonym string   `json:"pseudonym"`
	Agent     string   `json:"agent"`
	Actors    []string `json:"actors"`
	Request   string   `json:"request"`
}

// in says what the person is in a receipt, and whether it names her in clear.
func (a *About) in(r *people, line []byte, pseudonyms []string) (as []string, inClear bool) {
	named := r.Subject != "" && a.isSubject(r.Issuer, r.Subject)
	if named || r.Pseudonym != "" && slices.Contains(pseudonyms, r.Pseudonym) {
		as = append(as, AsCaller)
	}
	actor := r.Agent != "" && a.isNamed(r.Agent) || slices.ContainsFunc(r.Actors, a.isNamed)
	if actor {
		as = append(as, AsActor)
	}
	mentioned := a.mentioned(line)
	if mentioned && len(as) == 0 && !(a.Issuer != "" && a.isNamed(r.Subject)) { // her namesake at another issuer is not meant
		as = append(as, Mentioned)
	}
	return as, len(as) > 0 && (named || actor || mentioned)
}

// Find calls f with every receipt about somebody, directory by directory.
func Find(dirs []string, a About, pseudonyms []string, f func(Found) error) error {
	for _, dir := range dirs {
		err := verify.Query(dir, verify.Filter{Tenant: a.Tenant}, func(at verify.Place, line []byte) (bool, error) {
			var r people
			if err := json.Unmarshal(line, &r); err != nil {
				return false, fmt.Errorf("subject: %s:%d: %w", at.File, at.Line, err)
			}
			if r.Request != "" {
				return true, nil
			}
			one := Found{Directory: dir, File: at.File, Line: at.Line, InClear: r.Subject != ""}
			if a.Subject != "" {
				if one.As, one.InClear = a.in(&r, line, pseudonyms); len(one.As) == 0 {
					return true, nil
				}
			}
			one.Receipt = bytes.Clone(line)
			return true, f(one)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
