package flow

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// marker makes fingerprints of the values in a message: of words that hardly
// anybody writes by chance. By them an auditor sees that something out of one
// call's reply stands among another's arguments, and nothing else.
type marker struct {
	works sync.Pool // of *marking
}

// marking is the memory of one message.
type marking struct {
	mac    hash.Hash
	sum    [sha256.Size]byte
	buf    []byte
	found  []uint64
	looked int
	cut    bool
}

const (
	keptMarks  = 64   // fingerprints of a message on its receipt
	mostMarks  = 2048 // words of a message that are looked at
	shortMark  = 8    // bytes of a word with a digit in it
	plainMark  = 20   // of one without
	longMark   = 512  // more is looked at in parts only
	shortCoded = 16   // bytes of what may be base64 or hexadecimal
	nestedMark = 2    // layers of it
)

func newMarker(key []byte) *marker {
	m := &marker{}
	m.works.New = func() any { return &marking{mac: hmac.New(sha256.New, key)} }
	return m
}

// mark returns the fingerprints of a message as an obligation. Of many, those
// that are the smallest numbers are kept: of two messages with a value in common
// the same ones, and nobody without the key can choose which.
func (m *marker) mark(x *guard.Exchange, msg *mcp.Message, out []guard.Obligation) []guard.Obligation {
	w := m.works.Get().(*marking)
	defer m.works.Put(w)
	w.found, w.looked, w.cut = w.found[:0], 0, false
	part := msg.Params
	if msg.Result != nil {
		part = msg.Result
	}
	if part == nil {
		part = msg.Error
	}
	if part == nil {
		return out
	}
	_ = mcp.Walk(part, func(l mcp.Leaf) error { // what the decoder took can be walked
		switch l.Kind {
		case mcp.LeafString, mcp.LeafNumber:
			w.words(x.Principal.Tenant, string(l.Value()), nestedMark)
		}
		return nil
	})
	slices.Sort(w.found)
	w.found = slices.Compact(w.found)
	if len(w.found) == 0 {
		return out
	}
	name := valuesAll
	if len(w.found) > keptMarks || w.cut {
		name, w.found = valuesCut, w.found[:min(len(w.found), keptMarks)]
	}
	b := make([]byte, 0, len(w.found)*12)
	for _, f := range w.found {
		var eight [8]byte
		binary.BigEndian.PutUint64(eight[:], f)
		b = append(base64.RawURLEncoding.AppendEncode(b, eight[:]), ' ')
	}
	return append(out, guard.Obligation{Kind: guard.Mark, Name: name, Value: string(b[:len(b)-1])})
}

const (
	valuesAll = "values"
	valuesCut = "values_cut"
)

// words notes the words of a text, also of what is percent-encoded, base64 or
// hexadecimal in it.
func (w *marking) words(tenant, s string, layers int) {
	if strings.IndexByte(s, '%') >= 0 {
		s = unescapePercent(s)
	}
	for rest := s; rest != ""; {
		var word string
		word, rest = next(rest, wide)
		word = strings.Trim(word, ".-_@+~")
		w.note(tenant, word)
		if strings.ContainsAny(word, "._@+~-") { // its parts, too: what is around a value differs from text to text
			for inner := word; inner != ""; {
				var one string
				if one, inner = next(inner, narrow); one != word {
					w.note(tenant, one)
				}
			}
		}
	}
	if layers == 0 {
		return
	}
	for rest := s; rest != ""; {
		var run string
		run, rest = next(rest, coded)
		if len(run) < shortCoded {
			continue
		}
		w.decoded(tenant, run, layers)
		if strings.Contains(run, "/") { // of a path, perhaps
			for part := range strings.SplitSeq(run, "/") {
				if len(part) >= shortCoded {
					w.decoded(tenant, part, layers)
				}
			}
		}
	}
}

func (w *marking) decoded(tenant, run string, layers int) {
	if w.looked > mostMarks {
		return
	}
	if len(run)%2 == 0 {
		if b, err := hex.DecodeString(run); err == nil && readable(b) {
			w.words(tenant, string(b), layers-1)
			return
		}
	}
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(run, "-_") {
		encoding = base64.RawURLEncoding
	}
	if b, err := encoding.DecodeString(run[:len(run)-len(run)%4]); err == nil && readable(b) { // a last group may be of something else
		w.words(tenant, string(b), layers-1)
		return
	}
	if b, err := encoding.DecodeString(run); err == nil && readable(b) {
		w.words(tenant, string(b), layers-1)
	}
}

// note keeps the fingerprint of a word that nobody writes by chance.
func (w *marking) note(tenant, word string) {
	if len(word) < shortMark || len(word) > longMark || len(word) < plainMark && !strings.ContainsAny(word, "0123456789") || date(word) {
		return
	}
	if w.looked++; w.looked > mostMarks {
		w.cut = true
		return
	}
	w.mac.Reset()
	w.buf = guard.AppendText(w.buf[:0], tenant)
	for i := range len(word) { // ASCII letters in either case are one
		c := word[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		w.buf = append(w.buf, c)
	}
	_, _ = w.mac.Write(w.buf)
	w.found = append(w.found, binary.BigEndian.Uint64(w.mac.Sum(w.sum[:0])))
}

// date tells days and times, which stand everywhere.
func date(s string) bool {
	return len(s) >= 10 && s[4] == '-' && s[7] == '-' && s[0] >= '0' && s[0] <= '9' && s[3] >= '0' && s[3] <= '9' && s[5] <= '1' && len(s) <= 35
}

func next(s string, of func(byte) bool) (word, rest string) {
	i := 0
	for i < len(s) && !of(s[i]) {
		i++
	}
	j := i
	for j < len(s) && of(s[j]) {
		j++
	}
	return s[i:j], s[j:]
}

func narrow(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80
}

func wide(c byte) bool { return narrow(c) || strings.IndexByte("._@+~-", c) >= 0 }

func coded(c byte) bool {
	return c < 0x80 && narrow(c) || strings.IndexByte("+/-_", c) >= 0
}

// readable reports whether bytes are a text.
func readable(b []byte) bool {
	return len(b) > 0 && utf8.Valid(b) && !slices.ContainsFunc(b, func(c byte) bool { return c < ' ' && c != '\n' && c != '\r' && c != '\t' || c == 0x7f })
}

// unescapePercent undoes percent-encoding where there is some, and nothing else.
func unescapePercent(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if one, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
				b = append(b, one[0])
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}
