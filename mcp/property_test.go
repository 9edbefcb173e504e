package mcp_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/mcp"
)

// reference reads a text with encoding/json, refusing duplicate keys, and
// returns its leaves as [leaves] does.
func reference(raw []byte) ([]string, error) {
	if !utf8.Valid(raw) {
		return nil, errors.New("not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var out []string
	if err := referenceValue(dec, "", &out); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("trailing data")
	}
	return out, nil
}

func referenceValue(dec *json.Decoder, pointer string, out *[]string) error {
	tok, err := dec.Token()
	if err != nil {
		return err
	}
	switch v := tok.(type) {
	case json.Delim:
		seen := make(map[string]bool)
		for i := 0; dec.More(); i++ {
			name := fmt.Sprint(i)
			if v == '{' {
				key, err := dec.Token()
				if err != nil {
					return err
				}
				name = key.(string)
				if seen[name] {
					return errors.New("duplicate key")
				}
				seen[name] = true
				name = strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
				*out = append(*out, fmt.Sprintf("%s %d %q", pointer+"/"+name, mcp.LeafKey, key))
			}
			if err := referenceValue(dec, pointer+"/"+name, out); err != nil {
				return err
			}
		}
		_, err := dec.Token()
		return err
	case string:
		*out = append(*out, fmt.Sprintf("%s %d %q", pointer, mcp.LeafString, v))
	case json.Number:
		*out = append(*out, fmt.Sprintf("%s %d %q", pointer, mcp.LeafNumber, v.String()))
	case bool:
		*out = append(*out, fmt.Sprintf("%s %d %q", pointer, mcp.LeafBool, fmt.Sprint(v)))
	case nil:
		*out = append(*out, fmt.Sprintf("%s %d %q", pointer, mcp.LeafNull, "null"))
	}
	return nil
}

func leaves(raw []byte) (out []string, err error) {
	err = mcp.Walk(raw, func(l mcp.Leaf) error {
		out = append(out, fmt.Sprintf("%s %d %q", l.Pointer(), l.Kind, l.Value()))
		return nil
	})
	return out, err
}

// checkAgainstReference fails when an accepted message does not mean the same
// to encoding/json.
func checkAgainstReference(t interface {
	Helper()
	Fatalf(string, ...any)
}, m *mcp.Message) {
	t.Helper()
	want, err := reference(m.Raw)
	if err != nil {
		t.Fatalf("accepted %q, but encoding/json: %v", m.Raw, err)
	}
	got, err := leaves(m.Raw)
	if err != nil || strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Fatalf("%q\nwalked %q %v\nwant   %q", m.Raw, got, err, want)
	}
	var top map[string]json.RawMessage
	if err := json.Unmarshal(m.Raw, &top); err != nil {
		t.Fatalf("%v", err)
	}
	for key, part := range map[string]json.RawMessage{"params": m.Params, "result": m.Result, "error": m.Error} {
		if !bytes.Equal(part, top[key]) {
			t.Fatalf("%s is %q, want %q", key, part, top[key])
		}
	}
	if !bytes.Equal(m.ID, top["id"]) && !(m.Kind == mcp.Failure && m.ID == nil) {
		t.Fatalf("id is %q, want %q", m.ID, top["id"])
	}
	var method string
	if top["method"] != nil {
		_ = json.Unmarshal(top["method"], &method)
	}
	if m.Method != method {
		t.Fatalf("method is %q, want %q", m.Method, method)
	}
	if meta, _ := mcp.Lookup(m.Raw, "/params/_meta"); !bytes.Equal(m.Meta(), meta) {
		t.Fatalf("meta is %q, want %q", m.Meta(), meta)
	}
	if m.Method == "tools/call" { // through a decoder that folds keys: it must see the same tool
		var p struct{ Name string }
		if err := json.Unmarshal(m.Params, &p); err != nil || p.Name != m.Name {
			t.Fatalf("encoding/json calls %q (%v), we judged %q", p.Name, err, m.Name)
		}
	}
}

func spaces() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{"", "", "", " ", "\n\t", "\r"})
}

// quoted spells a string in one of several ways.
func quoted(t *rapid.T, s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch rapid.IntRange(0, 5).Draw(t, "spelling") {
		case 0:
			if r > 0xffff {
				r -= 0x10000
				fmt.Fprintf(&b, `\u%04x\u%04X`, 0xd800+r>>10, 0xdc00+r&0x3ff)
				continue
			}
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			lexeme := mcp.AppendQuote(nil, string(r))
			b.Write(lexeme[1 : len(lexeme)-1])
		}
	}
	b.WriteByte('"')
	return b.String()
}

// jsonText draws any JSON text without duplicate keys.
func jsonText(t *rapid.T, depth int) string {
	sp := func() string { return spaces().Draw(t, "space") }
	kinds := 4
	if depth > 0 {
		kinds = 6
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return rapid.SampledFrom([]string{"true", "false", "null"}).Draw(t, "literal")
	case 1:
		return rapid.StringMatching(`-?(0|[1-9][0-9]{0,9})(\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})?`).Draw(t, "number")
	case 2, 3:
		return quoted(t, rapid.String().Draw(t, "string"))
	case 4:
		items := make([]string, rapid.IntRange(0, 4).Draw(t, "items"))
		for i := range items {
			items[i] = sp() + jsonText(t, depth-1) + sp()
		}
		return "[" + sp() + strings.Join(items, ",") + "]"
	}
	keys := rapid.SliceOfNDistinct(rapid.String(), 0, 24, rapid.ID).Draw(t, "keys")
	members := make([]string, len(keys))
	for i, k := range keys {
		members[i] = sp() + quoted(t, k) + sp() + ":" + sp() + jsonText(t, depth-1) + sp()
	}
	return "{" + sp() + strings.Join(members, ",") + "}"
}

func TestAnyJSONIsReadAsItIs(t *testing.T) {
	d := mcp.NewDecoder(mcp.Config{})
	rapid.Check(t, func(t *rapid.T) {
		raw := arguments(jsonText(t, 3))
		m, f := d.Decode(mcp.ToServer, []byte(raw))
		if f != nil {
			t.Fatalf("%q: %v", raw, f)
		}
		checkAgainstReference(t, &m)
	})
}

func TestDuplicatesAreFoundAnywhere(t *testing.T) {
	d := mcp.NewDecoder(mcp.Config{})
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfNDistinct(rapid.StringN(0, 12, -1), 1, 60, rapid.ID).Draw(t, "keys")
		again := rapid.SampledFrom(keys).Draw(t, "again")
		at := rapid.IntRange(0, len(keys)).Draw(t, "at")
		keys = append(keys[:at:at], append([]string{again}, keys[at:]...)...)
		var members []string
		for _, k := range keys {
			members = append(members, quoted(t, k)+":"+jsonText(t, 0))
		}
		raw := arguments("[{" + strings.Join(members, ",") + "}]")
		if _, f := d.Decode(mcp.ToServer, []byte(raw)); f == nil || f.Reason != mcp.ReasonMalformed || string(f.ID) != "7" {
			t.Fatalf("%q: %v", raw, f)
		}
	})
}

func TestQuoteRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		lexeme := mcp.AppendQuote(nil, s)
		got, err := mcp.Unquote(lexeme)
		var want string
		if json.Unmarshal(lexeme, &want) != nil || err != nil || got != want || utf8.ValidString(s) && got != s {
			t.Fatalf("%q became %s, read as %q, %v", s, lexeme, got, err)
		}
	})
}

func TestApplyKeepsEveryOtherByte(t *testing.T) {
	d := mcp.NewDecoder(mcp.Config{})
	rapid.Check(t, func(t *rapid.T) {
		raw := arguments(jsonText(t, 3))
		m, f := d.Decode(mcp.ToServer, []byte(raw))
		if f != nil {
			t.Fatalf("%q: %v", raw, f)
		}
		// Replace some of the values, each by pointer or by span, and expect
		// what cutting the text at their offsets gives.
		var edits []mcp.Edit
		var want strings.Builder
		done := 0
		_ = mcp.Walk(m.Raw, func(l mcp.Leaf) error {
			if l.Kind == mcp.LeafKey || !strings.HasPrefix(l.Pointer(), "/params/arguments") || !rapid.Bool().Draw(t, "edit") {
				return nil
			}
			value := jsonText(t, 1)
			if rapid.Bool().Draw(t, "by pointer") {
				edits = append(edits, mcp.SetPointer(l.Pointer(), []byte(value)))
			} else {
				edits = append(edits, mcp.SetSpan(l.Start, l.End, []byte(value)))
			}
			want.WriteString(raw[done:l.Start] + value)
			done = l.End
			return nil
		})
		want.WriteString(raw[done:])
		edits = rapid.Permutation(edits).Draw(t, "order")
		got, err := d.Apply(&m, edits...)
		if err != nil || string(got.Raw) != want.String() {
			t.Fatalf("%q\ngot  %q, %v\nwant %q", raw, got.Raw, err, want.String())
		}
	})
}

func TestRemovedMembersAreGoneAndOthersStay(t *testing.T) {
	d := mcp.NewDecoder(mcp.Config{})
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "members")
		var members, kept []string
		var edits []mcp.Edit
		for i := range n {
			text := fmt.Sprintf(`%s"k%d"%s:%d%s`, spaces().Draw(t, "s"), i, spaces().Draw(t, "s"), i, spaces().Draw(t, "s"))
			members = append(members, text)
			if rapid.Bool().Draw(t, "remove") {
				edits = append(edits, mcp.RemoveMember(fmt.Sprintf("/params/arguments/v/k%d", i)))
			} else {
				kept = append(kept, fmt.Sprintf("/k%d=%d", i, i))
			}
		}
		if rapid.Bool().Draw(t, "add") {
			edits = append(edits, mcp.SetPointer("/params/arguments/v/new", []byte("1")))
			kept = append(kept, "/new=1")
		}
		edits = rapid.Permutation(edits).Draw(t, "order")
		m, _ := d.Decode(mcp.ToServer, []byte(arguments("{"+strings.Join(members, ",")+"}")))
		got, err := d.Apply(&m, edits...)
		if err != nil {
			t.Fatalf("%q: %v", m.Raw, err)
		}
		v, _ := mcp.Lookup(got.Raw, "/params/arguments/v")
		var left []string
		_ = mcp.Walk(v, func(l mcp.Leaf) error {
			if l.Kind == mcp.LeafNumber {
				left = append(left, l.Pointer()+"="+string(l.Value()))
			}
			return nil
		})
		if fmt.Sprint(left) != fmt.Sprint(kept) {
			t.Fatalf("%s became %s", m.Raw, got.Raw)
		}
	})
}
