package deliver

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/mcp"
)

// Mask removes or hashes members of what is sent. What was masked is no longer
// what the chain is over: such a copy says "masked", and is found in the log by
// replica and seq.
//
// A line's hash is over what the mask takes away: whoever had it could try values
// until one fits. So a masked sink gets no hash of the log's in clear, neither of
// receipts nor of the records beside them, but an HMAC of it.
type Mask struct {
	root   *maskNode
	key    []byte
	said   []byte // the member that tells
	record *Mask  // of the log's records
}

type maskNode struct {
	remove, hash bool
	below        map[string]*maskNode
}

// fixed are the members by which a copy is found again.
var fixed = []string{"v", "replica", "seq", "after", "record", "hash", "time", "masked"}

// telling are members of records that say a hash of the log.
var telling = []string{"previous.head", "previous.torn_sha256"}

// NewMask makes a mask of paths such as subject or events.detail: lists are
// passed through. Texts of hash become an HMAC-SHA256 under key, so that equal
// values stay equal and nobody can try values without the key.
func NewMask(remove, hash []string, key []byte) (*Mask, error) {
	if len(remove)+len(hash) == 0 {
		return nil, nil
	}
	if len(hash) > 0 && len(key) < 16 {
		return nil, errors.New("deliver: mask: a key for hashes needs 16 bytes or more")
	}
	m, err := newMask(remove, hash)
	if err != nil {
		return nil, err
	}
	if m.record, err = newMask(telling, nil); err != nil {
		return nil, err
	}
	m.use(key)
	return m, nil
}

// use sets the key of hashes.
func (m *Mask) use(key []byte) { m.key, m.record.key = key, key }

func newMask(remove, hash []string) (*Mask, error) {
	m := &Mask{root: &maskNode{below: map[string]*maskNode{"hash": {hash: true}}}}
	for _, p := range remove {
		if err := m.add(p, func(n *maskNode) { n.remove = true }); err != nil {
			return nil, err
		}
	}
	for _, p := range hash {
		if err := m.add(p, func(n *maskNode) { n.hash = true }); err != nil {
			return nil, err
		}
	}
	names := slices.Concat(remove, hash, []string{"hash"})
	slices.Sort(names)
	text, err := json.Marshal(slices.Compact(names))
	if err != nil {
		return nil, fmt.Errorf("deliver: mask: %w", err)
	}
	m.said = append([]byte(`"masked":`), text...)
	return m, nil
}

func (m *Mask) add(path string, set func(*maskNode)) error {
	n := m.root
	parts := strings.Split(path, ".")
	if slices.Contains(fixed, parts[0]) {
		return fmt.Errorf("deliver: mask: %s cannot be masked: by it a copy is found in the log", parts[0])
	}
	for _, part := range parts {
		if part == "" {
			return fmt.Errorf("deliver: mask: %q is no path of members", path)
		}
		if n.below == nil {
			n.below = make(map[string]*maskNode)
		}
		if n.below[part] == nil {
			n.below[part] = &maskNode{}
		}
		n = n.below[part]
	}
	if n.remove || n.hash {
		return fmt.Errorf("deliver: mask: %s is masked twice", path)
	}
	set(n)
	return nil
}

// blind masks an item: its body, and its hash and id, which go with it in clear.
func (m *Mask) blind(it *Item) {
	switch {
	case it.Kind == Checkpoint:
		return // signed as it is; configuration lets no sink mask and have them
	case it.Replica == "": // it cannot be read, so that nobody knows what is in it
		it.Body = []byte(`{"record":"unreadable","masked":["line"]}`)
		return
	case it.Kind == Record:
		it.Body = m.record.apply(it.line)
	default:
		it.Body = m.apply(it.line)
	}
	h := hmac.New(sha256.New, m.key)
	h.Write([]byte(it.Hash.String()))
	it.Hash = chain.Hash(h.Sum(nil))
	it.ID = it.ID[:len(it.ID)-shortHash] + it.Hash.String()[:shortHash]
}

// blindFile holds the key of a sink whose mask was given none.
const blindFile = "mask.key"

const maxBlind = 1 << 10

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// blindKey reads that key, and makes it where there is none. One that somebody else put
// there, he knows.
func (w *worker) blindKey() ([]byte, error) {
	b, err := w.folder.read(blindFile, maxBlind)
	if err == nil && w.maskKey == digest(b) {
		return b, nil
	}
	if w.maskKey != "" {
		w.distrust("the key of its mask is not the one that was made: there is a new one, so that what comes again is called otherwise")
	}
	b = make([]byte, sha256.Size)
	_, _ = rand.Read(b) // it never fails
	if err := w.folder.replace(blindFile, b); err != nil {
		return nil, err
	}
	w.maskKey, w.dirty = digest(b), true
	return b, nil
}

// apply returns line masked.
func (m *Mask) apply(line []byte) []byte {
	out := m.object(make([]byte, 0, len(line)+len(m.said)+8), line, m.root)
	if len(out) < 2 {
		return []byte("{}")
	}
	out = out[:len(out)-1]
	if out[len(out)-1] != '{' {
		out = append(out, ',')
	}
	return append(append(out, m.said...), '}')
}

func (m *Mask) object(out, object []byte, n *maskNode) []byte {
	out = append(out, '{')
	first := true
	for key, value := range mcp.Members(object) {
		below := n.below[key]
		if below != nil && below.remove {
			continue
		}
		if !first {
			out = append(out, ',')
		}
		first = false
		out = append(mcp.AppendQuote(out, key), ':')
		out = m.value(out, value, below)
	}
	return append(out, '}')
}

func (m *Mask) value(out, value []byte, n *maskNode) []byte {
	value = bytes.TrimSpace(value)
	if n == nil || len(value) == 0 {
		return append(out, value...)
	}
	if value[0] == '[' {
		var items []json.RawMessage
		if json.Unmarshal(value, &items) != nil {
			return append(out, "null"...)
		}
		out = append(out, '[')
		for i, item := range items {
			if i > 0 {
				out = append(out, ',')
			}
			out = m.value(out, item, n)
		}
		return append(out, ']')
	}
	if n.hash {
		return m.hashed(out, value)
	}
	if value[0] == '{' {
		return m.object(out, value, n)
	}
	return append(out, value...)
}

func (m *Mask) hashed(out, value []byte) []byte {
	text := value
	var s string
	if json.Unmarshal(value, &s) == nil {
		text = []byte(s)
	}
	h := hmac.New(sha256.New, m.key)
	h.Write(text)
	out = append(out, `"hmac:`...)
	out = hex.AppendEncode(out, h.Sum(nil))
	return append(out, '"')
}
