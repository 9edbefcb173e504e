// Package policies holds the default policy bundle, and the schemas of what
// policies get and give.
package policies

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
)

//go:embed all:default
var files embed.FS

//go:embed all:cedar
var cedarFiles embed.FS

//go:embed cedar/sallyport.cedarschema
var cedarSchema []byte

//go:embed input.schema.json
var inputSchema []byte

//go:embed decision.schema.json
var decisionSchema []byte

// Default returns the files of the default bundle.
func Default() fs.FS {
	sub, err := fs.Sub(files, "default")
	if err != nil {
		return files // the name is valid, so this never happens
	}
	return sub
}

// Cedar returns the files of the default bundle of Cedar policies.
func Cedar() fs.FS {
	sub, err := fs.Sub(cedarFiles, "cedar")
	if err != nil {
		return cedarFiles // the name is valid, so this never happens
	}
	return sub
}

// CedarSchema returns the Cedar schema of what Cedar policies know.
func CedarSchema() []byte { return cedarSchema }

// InputSchema returns the JSON Schema of the input document, decoded.
func InputSchema() (any, error) { return decode(inputSchema) }

// DecisionSchema returns the JSON Schema of a decision document, decoded.
func DecisionSchema() (any, error) { return decode(decisionSchema) }

func decode(schema []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(schema))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("policies: schema: %w", err)
	}
	return v, nil
}
