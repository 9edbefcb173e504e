package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"unicode/utf8"

	"github.com/sallyport/sallyport/mcp"
)

// maxText bounds each text in a receipt. Whoever sends megabytes as the name of
// a tool must not make the gateway keep them.
const maxText = 2048

func field(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, `":`...)
	return text(b, value)
}

func text(b []byte, value string) []byte {
	if len(value) <= maxText {
		return mcp.AppendQuote(b, value)
	}
	cut := maxText
	for cut > maxText-utf8.UTFMax && !utf8.RuneStart(value[cut]) {
		cut--
	}
	return mcp.AppendQuote(b, value[:cut]+"... ("+strconv.Itoa(len(value)-cut)+" bytes more)")
}

func list(b []byte, name string, values []string) []byte {
	if len(values) == 0 {
		return b
	}
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, `":[`...)
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = text(b, v)
	}
	return append(b, ']')
}

// digest writes the SHA-256 of value, byte for byte as it was judged.
func digest(b []byte, name string, value []byte, limit int) []byte {
	if len(value) == 0 || len(value) > limit {
		return b
	}
	sum := sha256.Sum256(value)
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, `":"`...)
	b = hex.AppendEncode(b, sum[:])
	return append(b, '"')
}

// trace writes the trace that the caller says it is in, if it says so in the
// one way that W3C Trace Context, 3.2 allows. It is a claim, not an identity.
func trace(b []byte, h mcp.Headers) []byte {
	v, n := h.Get("traceparent")
	if n != 1 || !isTraceparent(v) {
		return b
	}
	b = append(b, `,"trace_id":"`...)
	b = append(b, v[3:35]...)
	b = append(b, `","parent_id":"`...)
	b = append(b, v[36:52]...)
	return append(b, '"')
}

func isTraceparent(v string) bool {
	const trace, parent = "00000000000000000000000000000000", "0000000000000000"
	if len(v) < 55 || v[2] != '-' || v[35] != '-' || v[52] != '-' {
		return false
	}
	version := v[:2]
	return isHex(version) && version != "ff" && (version != "00" && (len(v) == 55 || v[55] == '-') || len(v) == 55) &&
		isHex(v[3:35]) && v[3:35] != trace && isHex(v[36:52]) && v[36:52] != parent && isHex(v[53:55])
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
