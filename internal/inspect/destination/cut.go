package destination

import (
	"bytes"
	"strings"
)

// Cut replaces the absolute URLs in a text that may not stay by mark, in linear
// time. It finds them as people write them: what hides, only [Find] sees.
func Cut(text []byte, stays func(Destination, error) bool, mark string) []byte {
	if !bytes.Contains(text, []byte("://")) {
		return text
	}
	out := make([]byte, 0, len(text))
	at := 0
	for {
		i := bytes.Index(text[at:], []byte("://"))
		if i < 0 {
			return append(out, text[at:]...)
		}
		colon := at + i
		start := colon
		for start > at && colon-start < maxChain && isSchemeByte(text[start-1]) {
			start--
		}
		end := colon + 3
		for end < len(text) && !isEnd(text[end]) {
			end++
		}
		url := trim(string(text[start:end]))
		end = max(start+len(url), colon+3)
		bad := false
		for _, u := range split(url) {
			bad = bad || !stays(Parse(strings.TrimLeft(u, "+-.0123456789")))
		}
		if out = append(out, text[at:start]...); bad {
			out = append(out, mark...)
		} else {
			out = append(out, text[start:end]...)
		}
		at = end
	}
}
