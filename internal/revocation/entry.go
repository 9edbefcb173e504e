package revocation

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind says what a revocation is about.
type Kind string

// The kinds.
const (
	Subject Kind = "subject" // whom a token is about, or who acts for them (RFC 8693)
	Client  Kind = "client"  // OAuth client
	Token   Kind = "token"   // jti
	Peer    Kind = "peer"    // name of a client certificate, such as a SPIFFE id
)

func (k Kind) index() int {
	switch k {
	case Subject:
		return 0
	case Client:
		return 1
	case Token:
		return 2
	case Peer:
		return 3
	}
	return -1
}

const kinds = 4

// Entry is one revocation.
type Entry struct {
	ID     string `json:"id"` // of kind, issuer and value: a second entry for them takes the place of the first
	Kind   Kind   `json:"kind"`
	Value  string `json:"value"`
	Issuer string `json:"issuer,omitempty"` // whose names are meant; empty: everybody's
	// IssuedBefore spares tokens that were issued at that second or later; zero:
	// none. A token that does not say when it was issued is not spared.
	IssuedBefore time.Time `json:"issued_before,omitzero"`
	Expires      time.Time `json:"expires,omitzero"` // when it comes off the list; zero: never
	Since        time.Time `json:"since"`
	Note         string    `json:"note,omitempty"` // for operators
}

// Bounds of an entry's texts, in bytes. Longer values are in no token that is
// believed.
const (
	maxValue  = 512
	maxIssuer = 1024
	maxNote   = 256
)

// Check reports why an entry could have no effect.
func (e *Entry) Check(now time.Time) error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if e.Kind.index() < 0 {
		bad("kind: %.40q is not subject, client, token or peer", e.Kind)
	}
	switch {
	case e.Value == "":
		bad("value: is empty")
	case len(e.Value) > maxValue || len(e.Issuer) > maxIssuer || len(e.Note) > maxNote:
		bad("value, issuer or note: is longer than %d, %d or %d bytes", maxValue, maxIssuer, maxNote)
	case hasControl(e.Value) || hasControl(e.Issuer) || hasControl(e.Note):
		bad("value, issuer or note: holds control characters")
	}
	if e.Kind == Peer && (e.Issuer != "" || !e.IssuedBefore.IsZero()) {
		bad("issuer, issued_before: mean nothing for a peer, who is known by a certificate")
	}
	if !e.Expires.IsZero() && !e.Expires.After(now) {
		bad("expires: is over already")
	}
	return errors.Join(errs...)
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// identify sets the ID.
func (e *Entry) identify() {
	h := sha256.New()
	for _, s := range []string{string(e.Kind), e.Issuer, e.Value} {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	e.ID = hex.EncodeToString(h.Sum(nil)[:16])
}

// Encode returns the entry as stores keep it.
func (e *Entry) Encode() ([]byte, error) { return json.Marshal(e) }

// Decode reads what Encode made.
func Decode(b []byte) (*Entry, error) {
	e := new(Entry)
	if err := json.Unmarshal(b, e); err != nil {
		return nil, err
	}
	if e.Kind.index() < 0 || e.Value == "" {
		return nil, fmt.Errorf("%.40q is no kind that is known, or there is no value", e.Kind)
	}
	e.identify()
	return e, nil
}

// over reports whether the entry has come off the list by itself.
func (e *Entry) over(now time.Time) bool { return !e.Expires.IsZero() && !now.Before(e.Expires) }

// spares reports whether a token that was issued then is not meant.
func (e *Entry) spares(issued time.Time) bool {
	return !e.IssuedBefore.IsZero() && !issued.IsZero() && !issued.Before(e.IssuedBefore)
}

// String returns the entry for logs and receipts.
func (e *Entry) String() string { return fmt.Sprintf("%s %q", e.Kind, e.Value) }
