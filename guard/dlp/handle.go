package dlp

import (
	"bytes"
	"encoding/base64"
	"slices"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/inspect/recogniser"
	"github.com/sallyport/sallyport/internal/inspect/wire"
	"github.com/sallyport/sallyport/mcp"
)

// Ids, cursors and the like only come back to whoever made them, and a caller can
// write anything there. They are read, but as what they are: random letters, in
// which a language is not looked for. Nothing in them can be replaced, so that
// whatever would be is blocked.

// least is the length of the shortest handle that is worth a look, in bytes.
const least = 8

// leastDigits is the same of one that is a number: what cards have.
const leastDigits = 13

// handle scans a value that comes back to whoever made it.
func (g *dlp) handle(places []place, s *scan, x *guard.Exchange, m *mcp.Message, t *wire.Text, h mcp.Handle) []place {
	switch {
	case t.Kind == mcp.LeafKey, m.Direction == mcp.ToClient && h == mcp.Issued: // the client's own, which it knows
		return places
	case t.Kind == mcp.LeafNumber && len(t.Value) < leastDigits, len(t.Value) < least, guard.IsUUID(t.Value):
		return places
	}
	s.found = s.coded(t.Value, h == mcp.Own && m.Direction == mcp.ToServer)
	for i := range s.found {
		f := &s.found[i]
		a := g.kept(x, m, f)
		if a == allow {
			continue
		}
		p := place{Finding: *f, action: a, kind: t.Kind, value: bytes.Clone(t.Value[f.Start:f.End]), pointer: t.Pointer()}
		p.start, p.end = t.Span(f.Start, f.End)
		places = append(places, p)
	}
	return places
}

// coded finds what has a form of its own in a text that is no language. Who made it
// up says what else there can be: a server's cursor may be the address that a page
// ends with, and the state of a request may be signed as tokens are.
func (s *scan) coded(text []byte, own bool) []recogniser.Finding {
	found := s.scanner.Scan(s.found[:0], recogniser.Leaf{Text: text, Coded: true})
	return slices.DeleteFunc(found, func(f recogniser.Finding) bool {
		switch f.Type {
		case "generic_password", "generic_api_key", "session_cookie", "bearer_opaque", "azure_sas": // by the words around them
			return true
		case "jwt":
			return !own && isState(text)
		case "CREDIT_CARD", "IBAN_CODE":
			return false
		}
		return !own && f.Class == recogniser.PII
	})
}

// isState reports whether text is a signed or encrypted token that a server can have
// made to find its own state in it, and not one that gives somebody access: those
// say for whom, what for, or by what client.
func isState(text []byte) bool {
	parts := bytes.Split(text, []byte("."))
	header := part(parts[0])
	if header == nil || len(parts) != 3 && len(parts) != 5 {
		return false
	}
	if typ := mcp.Text(header, "typ"); len(parts) == 5 || typ != "" && typ != "JWT" && typ != "jwt" {
		return typ == "" || typ == "JWT" || typ == "jwt" // encrypted: nobody but its maker knows
	}
	claims := part(parts[1])
	if claims == nil {
		return false
	}
	for name := range mcp.Members(claims) {
		switch name {
		case "scope", "scp", "scopes", "client_id", "azp", "nonce", "at_hash", "c_hash", "amr", "acr", "auth_time", "roles", "role", "groups", "permissions", "entitlements",
			"realm_access", "resource_access", "preferred_username", "upn", "unique_name", "email", "name", "cnf", "act", "kubernetes.io", "cognito:groups", "token_use", "tid", "oid":
			return false
		}
	}
	return true
}

// part returns the JSON object that a part of a token is, or nil.
func part(encoded []byte) []byte {
	plain, err := base64.RawURLEncoding.AppendDecode(nil, encoded)
	if err != nil || len(plain) == 0 || plain[0] != '{' || mcp.Walk(plain, func(mcp.Leaf) error { return nil }) != nil {
		return nil
	}
	return plain
}
