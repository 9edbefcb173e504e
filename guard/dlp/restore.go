package dlp

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/inspect/wire"
	"github.com/sallyport/sallyport/mcp"
)

// Sealer makes tokens that hold their value, readable for nobody without the key.
// It is deterministic: the same value of the same owner is the same token.
type Sealer interface {
	// Seal returns letters, digits, - and _. ok is false for what is too long.
	Seal(owner [32]byte, value string) (token string, ok bool)
	// Open returns what was sealed for owner, and false for anything else.
	Open(owner [32]byte, token string) (value string, ok bool)
}

const tokenBegin = "tok_"

// reversible reports whether anything is tokenised on its way to the client.
func (c *Config) reversible() bool {
	if c.ToClient.PII == "tokenise" || c.ToClient.Secret == "tokenise" {
		return true
	}
	return slices.ContainsFunc(c.Rules, func(r Rule) bool { return r.Action == "tokenise" && r.Direction != mcp.ToServer.String() })
}

func (c *Config) checkRestore() error {
	switch {
	case c.RestoreFor == 0 && c.RestoreTo == "tenant":
		return errors.New("restore_bound_to: has no effect without restore_for")
	case c.RestoreFor == 0:
		return nil
	case c.Key == "":
		return errors.New("restore_for: needs key")
	case !c.reversible():
		return errors.New("restore_for: has no effect: nothing is tokenised on its way to the client")
	}
	return nil
}

// owner is for whom a token is: the server that supplied the value, and the caller
// at its tenant or, where configuration says so, the tenant, in a time of its own. Only
// a message from there to the same server has its value put back, in that time and the
// next. The caller is the subject that agents act for, and so a chain of them hands on
// what it was given; to whoever learnt a token otherwise it is a word and no more.
func (g *dlp) owner(x *guard.Exchange, kind string, back int64) [32]byte {
	period := max(1, int64(g.RestoreFor/time.Second))
	b := guard.AppendText(nil, "dlp token, 1")
	if g.RestoreTo != "tenant" {
		b = x.AppendCaller(guard.AppendText(nil, "dlp token, 2"))
	}
	b = guard.AppendText(guard.AppendText(guard.AppendText(b, x.Server.Name), x.Principal.Tenant), kind)
	return sha256.Sum256(binary.BigEndian.AppendUint64(b, uint64(x.Started.Unix()/period-back)))
}

// kindOf is a type of findings as it stands in tokens.
func kindOf(t string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '_'
	}, t)
}

// seal gives a finding that is tokenised on its way to the client a token that
// its server gets back as the value. Definitions get none: tokens change with the
// time, and what is pinned must not.
func (g *dlp) seal(x *guard.Exchange, m *mcp.Message, p *place) {
	if g.sealer == nil || p.action != tokenise || m.Direction != mcp.ToClient || describes(x, m) {
		return
	}
	kind := kindOf(p.Type)
	if text, ok := g.sealer.Seal(g.owner(x, kind, 0), string(p.value)); ok {
		p.token = tokenBegin + kind + "." + text
	}
}

// restored is a token in a message to the server, whose place the value takes.
type restored struct {
	start, end int // in Raw
	text       []byte
}

// restore finds the tokens of a text that are for the server which the message
// goes to. Others are left as they are, and so is what names the target.
func (g *dlp) restore(out []restored, s *scan, x *guard.Exchange, m *mcp.Message, t *wire.Text) []restored {
	if g.sealer == nil || m.Direction != mcp.ToServer || t.Kind != mcp.LeafString || !bytes.Contains(t.Value, []byte(tokenBegin)) || handleOf(m, t) != mcp.NoHandle || fixed(m.Direction, t.Pointer()) {
		return out
	}
	for at := 0; ; {
		i := bytes.Index(t.Value[at:], []byte(tokenBegin))
		if i < 0 || len(out) >= mostRestored || s.tries >= mostTries {
			return out
		}
		i += at
		at = i + len(tokenBegin)
		kind := span(t.Value[at:], func(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' })
		at += len(kind)
		if at == len(t.Value) || t.Value[at] != '.' || i > 0 && tokenByte(t.Value[i-1]) {
			continue
		}
		text := span(t.Value[at+1:], tokenByte)
		s.tries++
		for back := range int64(2) {
			value, ok := g.sealer.Open(g.owner(x, string(kind), back), string(text))
			if !ok {
				continue
			}
			at += 1 + len(text)
			r := restored{}
			r.start, r.end = t.Span(i, at)
			quoted := mcp.AppendQuote(nil, value)
			r.text = quoted[1 : len(quoted)-1]
			out = append(out, r)
			break
		}
	}
}

// mostRestored bounds what one message has put back, since each costs a little.
// What only looks like a token costs as much.
const (
	mostRestored = 1000
	mostTries    = 2 * mostRestored
)

func tokenByte(c byte) bool { return alnum(c) || c == '-' || c == '_' }

func span(b []byte, of func(byte) bool) []byte {
	n := 0
	for n < len(b) && of(b[n]) {
		n++
	}
	return b[:n]
}

// without leaves out findings that are a part of a token: the server knows its
// value, which stands for it.
func without(places []place, tokens []restored) []place {
	if len(tokens) == 0 {
		return places
	}
	return slices.DeleteFunc(places, func(p place) bool {
		return slices.ContainsFunc(tokens, func(r restored) bool { return r.start < p.end && p.start < r.end })
	})
}
