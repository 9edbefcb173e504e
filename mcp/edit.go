package mcp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

type editKind uint8

const (
	editSet editKind = iota
	editSpan
	editRemove
)

// Edit changes one place of a message. The zero Edit is an error.
type Edit struct {
	kind       editKind
	pointer    string
	start, end int
	value      []byte
}

// SetPointer replaces the value at a JSON pointer (RFC 6901) from the top of
// the message. A member that its object does not have yet is added as the last
// one. value is one JSON value.
func SetPointer(pointer string, value json.RawMessage) Edit {
	return Edit{kind: editSet, pointer: pointer, value: value}
}

// SetSpan replaces the bytes start to end of Raw. value may be any bytes that
// leave the message valid; it is for parts of strings, whose replacement the
// caller has escaped.
func SetSpan(start, end int, value []byte) Edit {
	return Edit{kind: editSpan, start: start, end: end, value: value}
}

// RemoveMember removes the member at a JSON pointer from its object, with one
// comma.
func RemoveMember(pointer string) Edit { return Edit{kind: editRemove, pointer: pointer} }

// patch is an edit in bytes: text instead of raw[start:end].
type patch struct {
	start, end int
	text       []byte
}

// Apply returns m with the edits made, in memory of its own. Every byte outside
// the edits stays as it came. All edits are relative to m as given; edits that
// overlap are an error. The result is decoded like any other message, and must
// keep m's kind, id and method. Its Name may have changed: in the modern era
// the Mcp-Name header then has to follow.
func (d *Decoder) Apply(m *Message, edits ...Edit) (Message, error) {
	patches, err := patches(m.Raw, edits)
	if err != nil {
		return Message{}, err
	}
	raw, err := splice(m.Raw, patches)
	if err != nil {
		return Message{}, err
	}
	edited, f := d.Decode(m.Direction, raw)
	switch {
	case f != nil:
		return Message{}, fmt.Errorf("mcp: apply: result: %w", f)
	case edited.Kind != m.Kind || edited.Method != m.Method || !bytes.Equal(edited.ID, m.ID):
		return Message{}, errors.New("mcp: apply: an edit changed the message's kind, id or method")
	}
	return edited, nil
}

// patches resolves edits to bytes.
func patches(raw []byte, edits []Edit) ([]patch, error) {
	out := make([]patch, 0, len(edits))
	var removed, added []string
	for _, e := range edits {
		switch e.kind {
		case editRemove:
			removed = append(removed, e.pointer)
		case editSpan:
			if e.start < 0 || e.end < e.start || e.end > len(raw) {
				return nil, errors.New("mcp: apply: span outside the message")
			}
			out = append(out, patch{e.start, e.end, e.value})
		default:
			if err := Walk(e.value, func(Leaf) error { return nil }); err != nil {
				return nil, fmt.Errorf("mcp: apply: new value: %w", err)
			}
			if start, end, ok := Locate(raw, e.pointer); ok {
				out = append(out, patch{start, end, e.value})
				continue
			}
			if slices.Contains(added, e.pointer) {
				return nil, errors.New("mcp: apply: one member added twice")
			}
			added = append(added, e.pointer)
		}
	}
	for _, pointer := range removed {
		p, err := removal(raw, pointer, removed)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	inserted := make(map[int]bool)
	for _, e := range edits {
		if e.kind != editSet || !slices.Contains(added, e.pointer) {
			continue
		}
		p, err := insertion(raw, e, removed, inserted)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// splitPointer cuts a pointer before its last reference token.
func splitPointer(pointer string) (parent, key string, ok bool) {
	i := strings.LastIndexByte(pointer, '/')
	if i < 0 {
		return "", "", false
	}
	key, ok = unescapeToken(pointer[i+1:])
	return pointer[:i], key, ok
}

// removal is the patch that takes a member out. The comma before it goes with
// it when a member before it stays, the comma after it otherwise; the patches
// of neighbours that are removed too then meet without overlapping.
func removal(raw []byte, pointer string, removed []string) (patch, error) {
	parent, key, ok := splitPointer(pointer)
	at, found := descend(raw, parent)
	if !ok || !found {
		return patch{}, errors.New("mcp: apply: no object has the member to remove")
	}
	gone := siblings(parent, removed)
	stays, before := false, 0 // whether any member stays so far, and where the last one ends
	it := membersOf(raw, at)
	for it.next() {
		start := it.key
		this := it.named(key)
		stays = stays || !it.among(gone)
		it.skip()
		switch {
		case this && stays:
			return patch{start: before, end: it.end}, nil
		case this && it.next():
			return patch{start: start, end: it.key}, nil
		case this:
			return patch{start: start, end: it.end}, nil
		}
		before = it.end
	}
	return patch{}, errors.New("mcp: apply: no member to remove")
}

// insertion is the patch that adds a member at the end of its object.
func insertion(raw []byte, e Edit, removed []string, inserted map[int]bool) (patch, error) {
	parent, key, ok := splitPointer(e.pointer)
	at, found := descend(raw, parent)
	if !ok || !found || at >= len(raw) || raw[at] != '{' {
		return patch{}, errors.New("mcp: apply: no object for the member to add")
	}
	if !utf8.ValidString(key) {
		return patch{}, errors.New("mcp: apply: the new member's name is not UTF-8")
	}
	gone := siblings(parent, removed)
	pos, stays := at+1, false
	for it := membersOf(raw, at); it.next(); pos = it.end {
		stays = stays || !it.among(gone)
		it.skip()
	}
	var text []byte
	if stays || inserted[pos] {
		text = append(text, ',')
	}
	inserted[pos] = true
	text = append(AppendQuote(text, key), ':')
	return patch{pos, pos, append(text, e.value...)}, nil
}

// siblings returns the keys of the members of parent that are removed.
func siblings(parent string, removed []string) []string {
	var keys []string
	for _, pointer := range removed {
		if p, key, ok := splitPointer(pointer); ok && p == parent {
			keys = append(keys, key)
		}
	}
	return keys
}

func (m *members) among(keys []string) bool { return slices.ContainsFunc(keys, m.named) }

// splice makes the patches, which may come in any order.
func splice(raw []byte, patches []patch) ([]byte, error) {
	slices.SortStableFunc(patches, func(a, b patch) int {
		if a.start != b.start {
			return a.start - b.start
		}
		return a.end - b.end
	})
	size, done := len(raw), 0
	for _, p := range patches {
		if p.start < done {
			return nil, errors.New("mcp: apply: edits overlap")
		}
		done = p.end
		size += len(p.text) - (p.end - p.start)
	}
	out := make([]byte, 0, size)
	done = 0
	for _, p := range patches {
		out = append(out, raw[done:p.start]...)
		out = append(out, p.text...)
		done = p.end
	}
	return append(out, raw[done:]...), nil
}
