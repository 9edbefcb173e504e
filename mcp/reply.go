package mcp

import (
	"encoding/json"
	"strconv"
)

// AppendError appends a JSON-RPC error response in one line. The id is
// repeated byte for byte, and left out when it is nil; data is left out when
// empty.
func AppendError(dst []byte, id json.RawMessage, code int, message string, data json.RawMessage) []byte {
	dst = appendEnvelope(dst, id)
	dst = append(dst, `"error":{"code":`...)
	dst = strconv.AppendInt(dst, int64(code), 10)
	dst = append(dst, `,"message":`...)
	dst = AppendQuote(dst, message)
	if len(data) > 0 {
		dst = append(dst, `,"data":`...)
		dst = append(dst, data...)
	}
	return append(dst, "}}"...)
}

// AppendResult appends a JSON-RPC response whose result is the JSON object
// result; an empty one stands for {}.
func AppendResult(dst []byte, id json.RawMessage, result json.RawMessage) []byte {
	dst = appendEnvelope(dst, id)
	dst = append(dst, `"result":`...)
	if len(result) == 0 {
		result = json.RawMessage("{}")
	}
	dst = append(dst, result...)
	return append(dst, '}')
}

func appendEnvelope(dst []byte, id json.RawMessage) []byte {
	dst = append(dst, `{"jsonrpc":"2.0",`...)
	if id != nil {
		dst = append(dst, `"id":`...)
		dst = append(dst, id...)
		dst = append(dst, ',')
	}
	return dst
}
