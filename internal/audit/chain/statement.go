package chain

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
)

const (
	sigBegin = `,"signature":"`
	sigLen   = len(sigBegin) + 88 + len(`"}`)
)

// SignObject ends a JSON object with the signature of what stands before it, and a line
// end. The context keeps the signature from meaning anything else.
func SignObject(context string, object []byte, key ed25519.PrivateKey) []byte {
	text := object[:len(object)-1]
	sig := ed25519.Sign(key, append([]byte(context), text...))
	out := append(bytes.Clone(text), sigBegin...)
	out = base64.StdEncoding.AppendEncode(out, sig)
	return append(out, "\"}\n"...)
}

// CutSignature takes apart what SignObject made, without its line end: the object without
// its brace, and the signature, which is not checked.
func CutSignature(line []byte) (text, sig []byte, ok bool) {
	cut := len(line) - sigLen
	if cut < 0 || !bytes.HasPrefix(line[cut:], []byte(sigBegin)) || !bytes.HasSuffix(line, []byte(`"}`)) {
		return nil, nil, false
	}
	sig, err := base64.StdEncoding.Strict().DecodeString(string(line[cut+len(sigBegin) : len(line)-2]))
	if err != nil || len(sig) != ed25519.SignatureSize {
		return nil, nil, false
	}
	return line[:cut], sig, true
}
