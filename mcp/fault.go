package mcp

import (
	"encoding/json"
	"fmt"
)

// JSON-RPC and MCP error codes that this gateway sends itself. Codes of its
// own lie outside -32768..-32000, which JSON-RPC and MCP reserve.
const (
	CodeParse              = -32700
	CodeInvalidRequest     = -32600
	CodeMethodNotFound     = -32601
	CodeInvalidParams      = -32602
	CodeInternal           = -32603
	CodeHeaderMismatch     = -32020 // MCP 2026-07-28
	CodeUnsupportedVersion = -32022 // MCP 2026-07-28
)

// Reasons a message is refused for before any guard sees it. They are part of
// the closed list that package guard documents.
const (
	ReasonMalformed          = "malformed_message"    // not JSON, or JSON that parsers read differently
	ReasonInvalid            = "invalid_message"      // JSON, but not one legal JSON-RPC message
	ReasonTooLarge           = "message_too_large"    // body, event, depth, key or number beyond its limit
	ReasonUnknownMethod      = "unknown_method"       // a method outside the protocol and the configuration
	ReasonHeaderMismatch     = "header_mismatch"      // headers and body disagree, or a required header is absent
	ReasonUnsupportedVersion = "unsupported_version"  // a protocol revision the gateway does not speak
	ReasonUnsupportedMedia   = "unsupported_media"    // content type, charset or encoding
	ReasonInvalidParams      = "invalid_params"       // params lack what the method requires
	ReasonWrongTransport     = "transport_not_served" // an HTTP method, or a message kind, that the revision does not have
)

// Fault says why a message, or its HTTP envelope, cannot be judged. It is the
// only error type that this package returns for bad input.
type Fault struct {
	Reason string          // one of the Reason constants
	Status int             // HTTP status of the answer
	Code   int             // JSON-RPC code of the answer
	ID     json.RawMessage // the request's id, when it was read and is legal
	Detail string          // for operators: what, where; holds no values of the message
	Offset int             // byte offset in the body, -1 where none applies
	Data   json.RawMessage // JSON-RPC error data, when the protocol defines some
}

// Error returns the reason, the detail and the offset.
func (f *Fault) Error() string {
	if f.Offset >= 0 {
		return fmt.Sprintf("mcp: %s: %s at byte %d", f.Reason, f.Detail, f.Offset)
	}
	return fmt.Sprintf("mcp: %s: %s", f.Reason, f.Detail)
}
