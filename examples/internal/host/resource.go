package host

import (
	"encoding/json"
	"fmt"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// JSON is a resource's contents: v in JSON.
func JSON(uri string, v any) (*mcp.ReadResourceResult, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("host: encode %s: %w", uri, err)
	}
	return Text(uri, "application/json", string(b)), nil
}

// Text is a resource's contents as they are.
func Text(uri, media, text string) *mcp.ReadResourceResult {
	return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: uri, MIMEType: media, Text: text}}}
}

// No is a value for the annotations that tell "no" from "not said".
func No() *bool { return new(bool) }

// Reads annotates a tool that only looks, in a closed world.
func Reads() *mcp.ToolAnnotations {
	return &mcp.ToolAnnotations{ReadOnlyHint: true, IdempotentHint: true, OpenWorldHint: No()}
}

// Adds annotates a tool that changes its own world without destroying anything.
func Adds() *mcp.ToolAnnotations {
	return &mcp.ToolAnnotations{DestructiveHint: No(), OpenWorldHint: No()}
}
