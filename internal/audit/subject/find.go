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
	"os"
	"path/filepath"
	"slices"

	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/audit/keyring"
	"github.com/sallyport/sallyport/internal/audit/ledger"
	"github.com/sallyport/sallyport/internal/audit/verify"
)

// About is whom a request is about: a subject, at any issuer and tenant that are
// not named, or a whole tenant.
type About struct {
	Tenant, Issuer, Subject string
}

// Validate reports what is missing.
func (a *About) Validate() error {
	if a.Subject == "" && (a.Tenant == "" || a.Issuer != "") {
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
	return o.Kind == keyring.Subject && o.Subject == a.Subject && (a.Issuer == "" || o.Issuer == a.Issuer) && (a.Tenant == "" || o.Tenant == a.Tenant)
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
	text, err := os.ReadFile(filepath.Join(path, ledger.CheckpointFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("subject: %w", err)
	}
	text = bytes.TrimSuffix(text, []byte("\n"))
	if at := bytes.LastIndexByte(text, '\n') + 1; at < len(text) {
		s.Head = chain.LineHash(text[at:]).String()
	}
	return s, nil
}

// Found is one receipt about somebody.
type Found struct {
	Directory string          `json:"directory"`
	File      string          `json:"file"`
	Line      uint64          `json:"line"`
	InClear   bool            `json:"in_clear,omitempty"` // it names the subject, and no key can take that away
	Receipt   json.RawMessage `json:"receipt"`
}

// Find calls f with every receipt about somebody, directory by directory.
func Find(dirs []string, a About, pseudonyms []string, f func(Found) error) error {
	want := verify.Filter{Tenant: a.Tenant, Subject: a.Subject, Pseudonyms: pseudonyms}
	for _, dir := range dirs {
		err := verify.Query(dir, want, func(at verify.Place, line []byte) (bool, error) {
			var r struct {
				Subject string `json:"subject"`
				Issuer  string `json:"issuer"`
				Request string `json:"request"`
			}
			if err := json.Unmarshal(line, &r); err != nil {
				return false, fmt.Errorf("subject: %s:%d: %w", at.File, at.Line, err)
			}
			if r.Request != "" || a.Issuer != "" && r.Issuer != a.Issuer {
				return true, nil
			}
			return true, f(Found{Directory: dir, File: at.File, Line: at.Line, InClear: r.Subject != "", Receipt: bytes.Clone(line)})
		})
		if err != nil {
			return err
		}
	}
	return nil
}
