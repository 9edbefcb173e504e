package sse

import (
	"bytes"
	"encoding/json"
	"strings"
)

// Event is one server-sent event, or one comment line.
type Event struct {
	Type    string // the event field; empty means "message"
	ID      string // the id field
	HasID   bool   // an id field was there; an empty one resets the client's last id
	Retry   string // milliseconds in decimal digits; empty when absent
	Data    []byte // data lines joined by LF; nil when there was none, as in events that only set the id
	Comment []byte // for a comment, what follows the colon, never nil; events proper have none
}

// IsComment reports whether e is a comment, which clients ignore.
func (e Event) IsComment() bool { return e.Comment != nil }

// IsMessage reports whether clients take e for an event of the default type,
// the only one that MCP uses.
func (e Event) IsMessage() bool {
	return !e.IsComment() && e.Data != nil && (e.Type == "" || e.Type == "message")
}

func (e Event) isEmpty() bool {
	return e.Type == "" && !e.HasID && e.Retry == "" && e.Data == nil && e.Comment == nil
}

// AppendTo appends the event as a client reads it, with LF line ends and the
// blank line that ends it. Data with line breaks that is one JSON text goes on
// one line with spaces in their place, which is the same JSON; other such data
// goes on several lines, which clients join again. Type, ID and Retry are cut
// at a line break, so that no value can add fields.
func (e Event) AppendTo(dst []byte) []byte {
	if e.IsComment() {
		for line := range lines(e.Comment) {
			dst = append(dst, ':')
			dst = append(dst, line...)
			dst = append(dst, '\n')
		}
		return append(dst, '\n')
	}
	if e.Type != "" {
		dst = appendField(dst, "event: ", e.Type)
	}
	if e.HasID {
		dst = appendField(dst, "id: ", e.ID)
	}
	if e.Retry != "" {
		dst = appendField(dst, "retry: ", e.Retry)
	}
	if e.Data != nil {
		dst = appendData(dst, e.Data)
	}
	return append(dst, '\n')
}

func appendField(dst []byte, name, value string) []byte {
	if i := strings.IndexAny(value, "\r\n"); i >= 0 {
		value = value[:i]
	}
	dst = append(dst, name...)
	dst = append(dst, value...)
	return append(dst, '\n')
}

func appendData(dst, data []byte) []byte {
	if bytes.IndexByte(data, '\n') < 0 && bytes.IndexByte(data, '\r') < 0 {
		dst = append(dst, "data: "...)
		dst = append(dst, data...)
		return append(dst, '\n')
	}
	if json.Valid(data) {
		dst = append(dst, "data: "...)
		from := len(dst)
		dst = append(dst, data...)
		for i := from; i < len(dst); i++ {
			if dst[i] == '\n' || dst[i] == '\r' {
				dst[i] = ' ' // between tokens: JSON strings have no raw line breaks
			}
		}
		return append(dst, '\n')
	}
	for line := range lines(data) {
		dst = append(dst, "data: "...)
		dst = append(dst, line...)
		dst = append(dst, '\n')
	}
	return dst
}

// lines yields the lines of b without their ends: LF, CRLF or CR.
func lines(b []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for {
			i := bytes.IndexAny(b, "\r\n")
			if i < 0 {
				yield(b)
				return
			}
			if !yield(b[:i]) {
				return
			}
			if b[i] == '\r' && i+1 < len(b) && b[i+1] == '\n' {
				i++
			}
			b = b[i+1:]
		}
	}
}
