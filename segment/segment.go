// Package segment signs what a model is going to read (prompts, instructions,
// system prompts, tool results and single content blocks), so that a gateway or a
// client can tell who wrote it and that nobody has changed it since.
//
// A signature is a detached JWS (RFC 7515, appendix F, with the unencoded payload
// of RFC 7797) in the _meta of what it signs. It covers the canonical JSON of the
// content together with the server, the method and the name that it is for and a
// date of expiry, so that nothing signed can be shown in another place or later.
// docs/signed-segments.md has the format for other languages.
//
// A server signs the result of a prompt like this:
//
//	s := segment.Signer{Server: "crm", Key: key, Lifetime: time.Hour}
//	e, err := s.Sign(segment.About{Method: "prompts/get", Name: "triage"}, result)
//	result.Meta = map[string]any{segment.Key: e}
//
// The package imports the standard library and the module's mcp only.
package segment

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/sallyport/sallyport/mcp"
)

// Key is the member of _meta that holds an [Envelope].
const Key = "sallyport.dev/segment"

// Part says how much a signature covers.
type Part string

// The parts.
const (
	Whole Part = "whole" // all that a result, or the params of a request, give a model to read: see [Covered]
	Block Part = "block" // one content block or resource, without its _meta
)

// About says what a segment is part of. A signature is good for nothing else.
type About struct {
	Server    string          // the server's name in the gateway's registry
	Method    string          // see [Covered]
	Name      string          // of the prompt or tool, URI of the resource; empty where the method names nothing
	Part      Part            // Whole when empty
	Arguments json.RawMessage // of the request; nil, when signing: the signature is for any
}

// Envelope is the value of _meta's [Key].
type Envelope struct {
	Issued    int64  `json:"issued"`              // seconds since 1970
	Expires   int64  `json:"expires"`             // likewise
	Arguments string `json:"arguments,omitempty"` // base64url of the SHA-256 of the canonical arguments, where they are bound
	JWS       string `json:"jws"`                 // header..signature
}

// The errors of [Verifier.Verify] wrap one of these.
var (
	ErrMalformed  = errors.New("segment: the signature cannot be read")
	ErrUnknownKey = errors.New("segment: nobody known has this key")
	ErrExpired    = errors.New("segment: the signature has expired, or is not yet valid")
	ErrSignature  = errors.New("segment: the signature does not fit")
)

// Covered returns the members that a signature of the whole covers: of the
// result, or of the params of sampling/createMessage. The instructions of
// server/discover are signed as those of initialize, since they are the same.
// It is nil for methods of which nothing can be signed.
func Covered(method string) []string {
	switch method {
	case "prompts/get":
		return []string{"description", "messages"}
	case "tools/call":
		return []string{"content", "isError", "structuredContent"}
	case "resources/read":
		return []string{"contents"}
	case "initialize":
		return []string{"instructions"}
	case "sampling/createMessage":
		return []string{"messages", "systemPrompt", "tools"}
	}
	return nil
}

// Content returns what of raw a signature covers: a result, params or a block.
func Content(a About, raw json.RawMessage) (json.RawMessage, error) {
	covered := Covered(a.Method)
	if covered == nil {
		return nil, fmt.Errorf("segment: content: nothing of %q can be signed", a.Method)
	}
	if !json.Valid(raw) || len(raw) == 0 || raw[skip(raw)] != '{' {
		return nil, errors.New("segment: content: is no JSON object")
	}
	out, taken := []byte{'{'}, 0
	for name, value := range mcp.Members(raw) {
		if a.Part == Block && name == "_meta" || a.Part != Block && !slices.Contains(covered, name) {
			continue
		}
		if taken++; taken > 1 {
			out = append(out, ',')
		}
		out = append(append(mcp.AppendQuote(out, name), ':'), value...)
	}
	if taken == 0 {
		return nil, errors.New("segment: content: there is nothing to sign")
	}
	return append(out, '}'), nil
}

func skip(raw []byte) int {
	i := 0
	for i < len(raw)-1 && (raw[i] == ' ' || raw[i] == '\t' || raw[i] == '\n' || raw[i] == '\r') {
		i++
	}
	return i
}

// payload is what is signed: one canonical JSON object. raw is the result, the
// params or the block as it stands in the message.
func payload(a About, e *Envelope, raw json.RawMessage) ([]byte, error) {
	content, err := Content(a, raw)
	if err != nil {
		return nil, err
	}
	part := a.Part
	if part == "" {
		part = Whole
	}
	if a.Server == "" || part != Whole && part != Block {
		return nil, errors.New("segment: the server has no name, or there is no such part")
	}
	b := append([]byte(`{"content":`), content...)
	b = strconv.AppendInt(append(b, `,"expires":`...), e.Expires, 10)
	b = strconv.AppendInt(append(b, `,"issued":`...), e.Issued, 10)
	b = mcp.AppendQuote(append(b, `,"method":`...), a.Method)
	b = mcp.AppendQuote(append(b, `,"name":`...), a.Name)
	b = mcp.AppendQuote(append(b, `,"part":`...), string(part))
	b = mcp.AppendQuote(append(b, `,"server":`...), a.Server)
	if e.Arguments != "" {
		b = mcp.AppendQuote(append(b, `,"arguments":`...), e.Arguments)
	}
	out, ok := mcp.AppendCanonical(nil, append(b, '}'))
	if !ok {
		return nil, errors.New("segment: the content is not JSON")
	}
	return out, nil
}

// ArgumentsDigest is how an envelope names arguments; those that are absent are
// an empty object.
func ArgumentsDigest(arguments json.RawMessage) (string, error) {
	if len(arguments) == 0 {
		arguments = json.RawMessage("{}")
	}
	canonical, ok := mcp.AppendCanonical(nil, arguments)
	if !ok {
		return "", errors.New("segment: the arguments are not JSON")
	}
	sum := sha256.Sum256(canonical)
	return encoding.EncodeToString(sum[:]), nil
}

// Digest names content for those who compare: base64url of the SHA-256 of its
// canonical form.
func Digest(a About, raw json.RawMessage) (string, error) {
	content, err := Content(a, raw)
	if err != nil {
		return "", err
	}
	canonical, ok := mcp.AppendCanonical(nil, content)
	if !ok {
		return "", errors.New("segment: the content is not JSON")
	}
	sum := sha256.Sum256(canonical)
	return encoding.EncodeToString(sum[:]), nil
}

var encoding = base64.RawURLEncoding.Strict()
