package audit

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"unicode/utf8"

	"github.com/sallyport/sallyport/guard"
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

func number(b []byte, name string, n int64) []byte {
	b = append(append(append(b, ',', '"'), name...), `":`...)
	return strconv.AppendInt(b, n, 10)
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

// digestOf is by what receipts of one tenant about one resource are found, whose name
// they do not say: equivalent spellings have one.
func (f *Form) digestOf(tenant, name string) string {
	if normal, err := mcp.NormalURI(name); err == nil {
		name = normal
	}
	h := hmac.New(sha256.New, f.Names)
	h.Write(guard.AppendText(guard.AppendText(nil, tenant), name))
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// keyed makes sure that nobody can try names against their digests: without a key
// they are under one that this process alone has, and forgets.
func (f Form) keyed() Form {
	if len(f.Names) == 0 {
		f.Names = make([]byte, 32)
		_, _ = rand.Read(f.Names) // it never fails
	}
	return f
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

// trace writes the trace that the exchange is part of. Where the gateway traces
// nothing, that is the one that the caller says it is in. It is a claim, not an
// identity.
func trace(b []byte, x *guard.Exchange, d *guard.Decision) []byte {
	if x.Trace.On() {
		b = x.Trace.AppendID(append(b, `,"trace_id":"`...))
		b = x.Trace.AppendSpan(append(b, `","span_id":"`...))
		return append(b, '"')
	}
	if d.Direction != mcp.ToServer || x.Headers == nil {
		return b
	}
	v, n := x.Headers.Get("traceparent")
	if n != 1 {
		return b
	}
	if _, _, _, ok := guard.Traceparent(v); !ok {
		return b
	}
	b = append(b, `,"trace_id":"`...)
	b = append(b, v[3:35]...)
	b = append(b, `","parent_id":"`...)
	b = append(b, v[36:52]...)
	return append(b, '"')
}
