package mcp

import (
	"encoding/base64"
	"errors"
	"strings"
	"unicode/utf8"
)

// Headers of MCP over HTTP, in lower case as [Headers] wants them.
const (
	HeaderVersion = "mcp-protocol-version"
	HeaderMethod  = "mcp-method"
	HeaderName    = "mcp-name"
	HeaderSession = "mcp-session-id"
)

// HeaderParam returns what the value of an Mcp-Name or Mcp-Param-* header
// stands for: itself, or the UTF-8 text inside =?base64?...?=, whose markers
// are lower case and whose padding is required (MCP 2026-07-28, transports,
// header encoding).
func HeaderParam(value string) (string, error) {
	if inner, ok := strings.CutPrefix(value, "=?base64?"); ok {
		if inner, ok = strings.CutSuffix(inner, "?="); ok {
			if strings.ContainsAny(inner, "\r\n") { // which the decoder would skip
				return "", errors.New("mcp: header parameter: line break")
			}
			text, err := base64.StdEncoding.Strict().DecodeString(inner)
			if err != nil || !utf8.Valid(text) {
				return "", errors.New("mcp: header parameter: not base64 of UTF-8")
			}
			return string(text), nil
		}
	}
	for i := range len(value) {
		if c := value[i]; c < 0x20 && c != '\t' || c > 0x7e {
			return "", errors.New("mcp: header parameter: character beyond printable ASCII")
		}
	}
	return value, nil
}
