package cedar

import (
	"encoding/json"
	"strconv"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/sallyport/sallyport/mcp"
)

// value converts JSON of a decoded message. Cedar has neither null nor numbers
// with fractions, and its sets know neither order nor repetition: null and
// numbers that are no whole ones become entities, which nothing but an equal
// one is equal to and which no comparison takes.
func value(raw json.RawMessage) types.Value {
	if len(raw) == 0 {
		return types.NewEntityUID("Json", "null")
	}
	switch raw[0] {
	case '{':
		m := types.RecordMap{}
		for k, v := range mcp.Members(raw) {
			m[types.String(k)] = value(v)
		}
		return types.NewRecord(m)
	case '[':
		var list []types.Value
		for v := range mcp.Elements(raw) {
			list = append(list, value(v))
		}
		return types.NewSet(list...)
	case '"':
		if s, err := mcp.Unquote(raw); err == nil {
			return types.String(s)
		}
	case 't':
		return types.True
	case 'f':
		return types.False
	default:
		if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
			return types.Long(n)
		}
	}
	return types.NewEntityUID("Json", types.String(raw))
}

func quoted(s string) json.RawMessage { return mcp.AppendQuote(nil, s) }
