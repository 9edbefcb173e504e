package host

import (
	"encoding/json"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// InvalidParams is the protocol error for arguments of prompts and completions.
// Tools return plain errors instead, which the model gets to read.
func InvalidParams(err error) error {
	return &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: err.Error()}
}

// Needs is the answer to a client that lacks a capability this call cannot do
// without. Modern clients get the code that the specification has for it,
// -32021; older revisions do not know it and get a plain error.
func Needs(r *mcp.CallToolRequest, message string, caps *mcp.ClientCapabilities) error {
	if r.ProtocolVersion() < firstModern {
		return plain(message)
	}
	data, err := json.Marshal(mcp.MissingRequiredClientCapabilityData{RequiredCapabilities: caps})
	if err != nil {
		return plain(message)
	}
	return &jsonrpc.Error{Code: mcp.CodeMissingRequiredClientCapabilities, Message: message, Data: data}
}

type plain string

func (p plain) Error() string { return string(p) }
