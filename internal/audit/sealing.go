package audit

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/audit/keyring"
	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/mcp"
)

// Sealing says what of a decision its receipt holds encrypted, under keys whose
// destruction makes it unreadable while the receipt stays as it is.
type Sealing struct {
	Ring     *keyring.Ring
	Subjects bool // who called is sealed, and the receipt names a pseudonym
	Payloads []Payload
	Largest  int // payload that is kept
}

// Payload says which content of which messages is kept, sealed. What is empty fits
// everything.
type Payload struct {
	Tenants, Servers, Tools []string // patterns
	Arguments, Params       bool     // of requests and notifications
	Results                 bool     // of replies
	Received                bool     // as it came, refused messages included, rather than as it went on
}

func (p *Payload) fits(x *guard.Exchange, name string) bool {
	return notation.Among(p.Tenants, x.Principal.Tenant) && notation.Among(p.Servers, x.Server.Name) && notation.Among(p.Tools, name)
}

// seals are the keys of one receipt. The zero seals seal nothing.
type seals struct {
	keys      []*keyring.Key // the tenant's, and the subject's where there is one
	pseudonym string
	subject   string // which must not be in the receipt
	at        keyring.Place
}

// Parts of receipts that can be sealed.
const (
	partIdentity  = "identity"
	partArguments = "arguments"
	partParams    = "params"
	partResult    = "result"
)

// seals finds the keys for a receipt, or makes them.
func (s *Sealing) seals(ctx context.Context, x *guard.Exchange, m *mcp.Message, d *guard.Decision) (seals, error) {
	if s == nil || !s.Subjects && s.payload(x, m) == nil {
		return seals{}, nil
	}
	p := &x.Principal
	tenant, err := s.Ring.Current(ctx, keyring.TenantOf(p.Tenant))
	if err != nil {
		return seals{}, fmt.Errorf("audit: seal: %w", err)
	}
	out := seals{keys: []*keyring.Key{tenant}, at: keyring.Place{
		Exchange: x.ID, Time: d.At.UTC().Format(time.RFC3339Nano), Direction: d.Direction.String(), Tenant: p.Tenant,
	}}
	if !s.Subjects || p.Subject == "" {
		return out, nil
	}
	person, err := s.Ring.Current(ctx, keyring.Owner{Kind: keyring.Subject, Tenant: p.Tenant, Issuer: p.Issuer, Subject: p.Subject})
	if err != nil {
		return seals{}, fmt.Errorf("audit: seal: %w", err)
	}
	out.keys = append(out.keys, person)
	out.pseudonym, out.subject = person.ID, p.Subject
	return out, nil
}

// hide replaces the sealed subject wherever a text repeats it.
func (s *seals) hide(text string) string {
	if s.subject == "" || len(text) < len(s.subject) {
		return text
	}
	return replaceName(text, s.subject, "~"+s.pseudonym)
}

// id writes the id of a message, which its sender chose, in whatever spelling.
func (s *seals) id(b, id []byte) []byte {
	var text string
	if s.subject != "" && id[0] == '"' && json.Unmarshal(id, &text) == nil {
		if hidden := s.hide(text); hidden != text {
			return mcp.AppendQuote(b, hidden)
		}
	}
	return append(b, id...)
}

func (s *seals) hideAll(texts []string) []string {
	if s.subject == "" {
		return texts
	}
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = s.hide(t)
	}
	return out
}

// payload returns the rule for a message, nil where there is none.
func (s *Sealing) payload(x *guard.Exchange, m *mcp.Message) *Payload {
	if m == nil {
		return nil
	}
	name := m.Name
	if name == "" && m.Direction == mcp.ToClient {
		name = x.Asked.Name
	}
	for i := range s.Payloads {
		if p := &s.Payloads[i]; p.fits(x, name) {
			return p
		}
	}
	return nil
}

// identity is what is sealed of who called.
type identity struct {
	Subject string `json:"subject,omitempty"`
	Source  string `json:"source,omitempty"`
	Peer    string `json:"peer,omitempty"`
}

// personal reports whether the name of a peer can be a person's. SPIFFE ids are
// those of workloads.
func personal(peer string) bool { return peer != "" && !strings.HasPrefix(peer, "spiffe://") }

// sealed writes what is sealed as the last member.
func (s *Sealing) sealed(b []byte, k *seals, x *guard.Exchange, m *mcp.Message, d *guard.Decision) ([]byte, error) {
	if len(k.keys) == 0 {
		return b, nil
	}
	open := false
	begin := func(what string) {
		if open {
			b = append(b, `,{"what":"`...)
		} else {
			b, open = append(b, `,"sealed":[{"what":"`...), true
		}
		b = append(append(b, what...), '"')
	}
	if s.Subjects {
		who := identity{Subject: x.Principal.Subject}
		if x.Source.IsValid() {
			who.Source = x.Source.String()
		}
		if personal(x.Principal.Peer) {
			who.Peer = x.Principal.Peer
		}
		if who != (identity{}) {
			plain, err := json.Marshal(who)
			if err != nil {
				return b, fmt.Errorf("audit: seal: %w", err)
			}
			begin(partIdentity)
			if b, err = k.box(b, partIdentity, plain); err != nil {
				return b, err
			}
		}
	}
	if p := s.payload(x, m); p != nil {
		if what, value := p.choose(m, d); value != nil {
			begin(what)
			as := "forwarded"
			if p.Received {
				as = "received"
			}
			b = append(append(append(b, `,"as":"`...), as...), '"')
			b = number(b, "bytes", int64(len(value)))
			if len(value) > s.Largest {
				b = append(b, '}')
			} else {
				var err error
				if b, err = k.box(b, what, value); err != nil {
					return b, err
				}
			}
		}
	}
	if open {
		b = append(b, ']')
	}
	return b, nil
}

// choose returns the content that is kept of a message.
func (p *Payload) choose(m *mcp.Message, d *guard.Decision) (what string, value []byte) {
	if !p.Received {
		if d.Action != guard.Allow {
			return "", nil // nothing went on
		}
		m = &d.Message
	}
	switch {
	case m.Method == "" && p.Results:
		return partResult, m.Result
	case m.Method == "":
		return "", nil
	case p.Params:
		return partParams, m.Params
	case p.Arguments:
		value, _ := mcp.Member(m.Params, "arguments")
		return partArguments, value
	}
	return "", nil
}

// box ends an entry with what is sealed.
func (s *seals) box(b []byte, what string, plain []byte) ([]byte, error) {
	at := s.at
	at.What = what
	box, err := keyring.Seal(s.keys, at, plain)
	if err != nil {
		return b, fmt.Errorf("audit: %w", err)
	}
	b = append(b, `,"keys":["`...)
	for i, key := range s.keys {
		if i > 0 {
			b = append(b, `","`...)
		}
		b = append(b, key.ID...)
	}
	b = append(b, `"],"box":"`...)
	b = base64.StdEncoding.AppendEncode(b, box)
	return append(b, `"}`...), nil
}
