package policy

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// masks are what has to be done to the result of a call.
type masks struct {
	mask []Mask
	cap  []Cap
}

var masked = guard.NewSlot[masks]()

const (
	defaultMask = `"[masked]"`
	withheld    = `"[withheld: text in which the policy's masks cannot be applied]"`
	structured  = "/structuredContent"
)

// edits masks every value below the paths. Tools repeat structured content as
// JSON in a text block; it is masked there too, and a text that is no JSON is
// withheld, because what has to be masked may stand in it.
func (k *masks) edits(m *mcp.Message) ([]mcp.Edit, error) {
	var out []mcp.Edit
	cut, err := k.caps(m.Raw, "/result", &out)
	if err != nil {
		return nil, err
	}
	inText := k.below(structured)
	var pointer []byte
	err = mcp.Walk(m.Raw, func(l mcp.Leaf) error {
		if l.Kind == mcp.LeafKey || within(cut, l.Start) {
			return nil
		}
		pointer = l.AppendPointer(pointer[:0])
		path, ok := strings.CutPrefix(string(pointer), "/result")
		if !ok {
			return nil
		}
		if with := k.match(path); with != nil {
			out = append(out, mcp.SetSpan(l.Start, l.End, with))
			return nil
		}
		if inText == nil || l.Kind != mcp.LeafString {
			return nil
		}
		switch block(path) {
		case "text", "resource/text":
			if now := inText.text(string(l.Value())); now != nil {
				out = append(out, mcp.SetSpan(l.Start, l.End, now))
			}
		case "resource/blob":
			out = append(out, mcp.SetSpan(l.Start, l.End, []byte(`""`)))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("policy: mask: %w", err)
	}
	return out, nil
}

// match returns what stands in the place of a value at path, or nil.
func (k *masks) match(path string) json.RawMessage {
	for i := range k.mask {
		if covers(k.mask[i].Path, path) {
			if with := k.mask[i].With; with != nil {
				return with
			}
			return json.RawMessage(defaultMask)
		}
	}
	return nil
}

// covers reports whether a value at path is at pattern or below it.
func covers(pattern, path string) bool {
	for pattern != "" {
		if path == "" {
			return false
		}
		want, moreWant := step(pattern)
		have, moreHave := step(path)
		if want != "*" && want != have {
			return false
		}
		pattern, path = moreWant, moreHave
	}
	return true
}

// step cuts the first reference token off a pointer.
func step(pointer string) (token, rest string) {
	token = pointer[1:]
	if i := strings.IndexByte(token, '/'); i >= 0 {
		return token[:i], token[i:]
	}
	return token, ""
}

// below returns the masks below prefix, relative to it, or nil for none.
func (k *masks) below(prefix string) *masks {
	r := &masks{}
	for _, one := range k.mask {
		if rest, ok := strings.CutPrefix(one.Path, prefix); ok && (rest == "" || rest[0] == '/') {
			r.mask = append(r.mask, Mask{rest, one.With})
		}
	}
	for _, one := range k.cap {
		if rest, ok := strings.CutPrefix(one.Path, prefix); ok && (rest == "" || rest[0] == '/') {
			r.cap = append(r.cap, Cap{rest, one.Items})
		}
	}
	if len(r.mask)+len(r.cap) == 0 {
		return nil
	}
	return r
}

// block names the text of a content block that path leads to.
func block(path string) string {
	rest, ok := strings.CutPrefix(path, "/content/")
	if !ok {
		return ""
	}
	_, rest, _ = strings.Cut(rest, "/")
	return rest
}

// text returns a text with the masks applied, as JSON, or nil for one that
// stays as it is.
func (k *masks) text(s string) json.RawMessage {
	if s = strings.Trim(s, " \t\r\n"); s == "" {
		return nil
	}
	// A decoder's rules for a message hold for the text as well, so that
	// nobody reads a doubled key otherwise than it was masked.
	whole := []byte(`{"jsonrpc":"2.0","id":0,"result":{"":` + s + `}}`)
	d := mcp.NewDecoder(mcp.Config{Limits: mcp.Limits{Bytes: maxText}})
	m, f := d.Decode(mcp.ToClient, whole)
	if f != nil {
		return json.RawMessage(withheld)
	}
	value, ok := mcp.Member(m.Result, "")
	if !ok || len(value) != len(s) || value[0] != '{' && value[0] != '[' { // s may close the object around it
		return json.RawMessage(withheld)
	}
	var list []mcp.Edit
	cut, err := k.caps(m.Raw, "/result/", &list)
	if err == nil {
		var pointer []byte
		err = mcp.Walk(m.Raw, func(l mcp.Leaf) error {
			if l.Kind == mcp.LeafKey || within(cut, l.Start) {
				return nil
			}
			pointer = l.AppendPointer(pointer[:0])
			if path, ok := strings.CutPrefix(string(pointer), "/result/"); ok {
				if with := k.match(path); with != nil {
					list = append(list, mcp.SetSpan(l.Start, l.End, with))
				}
			}
			return nil
		})
	}
	if err != nil {
		return json.RawMessage(withheld)
	}
	if len(list) == 0 {
		return nil
	}
	edited, err := d.Apply(&m, list...)
	if err != nil {
		return json.RawMessage(withheld)
	}
	value, _ = mcp.Member(edited.Result, "")
	return mcp.AppendQuote(nil, string(value))
}

// maxText bounds what is read and written for one text; the message around it
// is bounded by the decoder.
const maxText = 1 << 30

type span struct{ start, end int }

func within(list []span, at int) bool {
	for _, s := range list {
		if at >= s.start && at < s.end {
			return true
		}
	}
	return false
}

// caps shortens arrays, and returns what it cuts out.
func (k *masks) caps(raw []byte, root string, out *[]mcp.Edit) ([]span, error) {
	var cut []span
	for _, c := range k.cap {
		start, end, ok := mcp.Locate(raw, root+c.Path)
		if !ok || raw[start] != '[' {
			continue
		}
		if _, _, more := mcp.Locate(raw, root+c.Path+"/"+strconv.Itoa(c.Items)); !more {
			continue
		}
		from := start + 1
		if c.Items > 0 {
			_, last, ok := mcp.Locate(raw, root+c.Path+"/"+strconv.Itoa(c.Items-1))
			if !ok {
				return nil, fmt.Errorf("policy: cap %s: no element", c.Path)
			}
			from = last
		}
		if within(cut, from) {
			continue
		}
		cut = append(cut, span{from, end - 1})
		*out = append(*out, mcp.SetSpan(from, end-1, nil))
	}
	return cut, nil
}
