package echo

import (
	"bytes"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/bench/jsonscan"
)

const (
	maxAnswer = 32 << 20
	maxDelay  = time.Minute
)

// post answers one message.
func (x *exchange) post() error {
	var id, method, params []byte
	whole := jsonscan.Members(x.in, func(name, value []byte) bool {
		switch string(name) {
		case "id":
			id = value
		case "method":
			method = jsonscan.Text(value)
		case "params":
			params = value
		}
		return true
	})
	switch {
	case !whole || method == nil:
		return x.failure(400, id, -32600, "not a request")
	case id == nil:
		return x.reply(202, "", nil)
	}
	switch string(method) {
	case "tools/call":
		return x.call(id, params)
	case "initialize":
		session := "mcp-session-id: bench-" + strconv.FormatInt(time.Now().UnixNano(), 36) + "\r\n"
		return x.result(id, session, initialized(params))
	case "server/discover":
		return x.result(id, "", discovered)
	case "tools/list":
		return x.result(id, "", x.listed())
	case "ping":
		return x.result(id, "", `{}`)
	}
	status := 200
	if x.modern {
		status = 404
	}
	return x.failure(status, id, -32601, "method not found")
}

func (x *exchange) call(id, params []byte) error {
	var name, args, meta []byte
	jsonscan.Members(params, func(n, v []byte) bool {
		switch string(n) {
		case "name":
			name = jsonscan.Text(v)
		case "arguments":
			args = v
		case "_meta":
			meta = v
		}
		return true
	})
	switch string(name) {
	case "echo":
		return x.echo(id, args)
	case "stream":
		return x.stream(id, args, jsonscan.Get(meta, "progressToken"))
	}
	return x.failure(200, id, -32602, "unknown tool")
}

// echo answers with the text of the arguments.
func (x *exchange) echo(id, args []byte) error {
	var text []byte
	size, delay, events := -1, 0, false
	jsonscan.Members(args, func(n, v []byte) bool {
		switch string(n) {
		case "text":
			text = jsonscan.Text(v)
		case "answer_bytes":
			size = integer(v)
		case "delay_ms":
			delay = integer(v)
		case "sse":
			events = string(v) == "true"
		}
		return true
	})
	if size > maxAnswer {
		return x.failure(200, id, -32602, "answer_bytes is too large")
	}
	if delay > 0 {
		if err := x.sleep(min(time.Duration(delay)*time.Millisecond, maxDelay)); err != nil {
			return err
		}
	}
	b := append(x.payload[:0], `{"jsonrpc":"2.0","id":`...)
	b = append(b, id...)
	b = append(b, `,"result":{"content":[{"type":"text","text":"`...)
	b = Fill(b, text, size)
	b = append(b, `"}]`...)
	b = append(append(b, x.resultType()...), `}}`...)
	x.payload = b
	if events {
		return x.eventReply(b)
	}
	return x.reply(200, "", b)
}

// Fill appends text, cut or repeated to size bytes; with a negative size, or a
// text that a cut could spoil because it holds escapes, text as it is.
func Fill(dst, text []byte, size int) []byte {
	if size < 0 || len(text) == 0 || bytes.IndexByte(text, '\\') >= 0 {
		return append(dst, text...)
	}
	for size > len(text) {
		dst = append(dst, text...)
		size -= len(text)
	}
	return append(dst, text[:size]...)
}

func (x *exchange) resultType() string {
	if x.modern {
		return `,"resultType":"complete"`
	}
	return ""
}

func initialized(params []byte) string {
	version := string(jsonscan.Text(jsonscan.Get(params, "protocolVersion")))
	switch version {
	case "2025-03-26", "2025-06-18", "2025-11-25":
	default:
		version = "2025-11-25"
	}
	return `{"protocolVersion":"` + version + `","capabilities":{"tools":{}},"serverInfo":{"name":"bench-echo","version":"1"}}`
}

const discovered = `{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},` +
	`"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"bench-echo","version":"1"}},` +
	`"resultType":"complete","ttlMs":60000,"cacheScope":"public"}`

const tools = `{"tools":[{"name":"echo","description":"Answers with its text, cut or repeated to answer_bytes.",` +
	`"inputSchema":{"type":"object","properties":{"text":{"type":"string"},"answer_bytes":{"type":"integer"},` +
	`"delay_ms":{"type":"integer"},"sse":{"type":"boolean"}},"required":["text"]}},` +
	`{"name":"stream","description":"Sends progress notifications that say when they were sent.",` +
	`"inputSchema":{"type":"object","properties":{"events":{"type":"integer"},"interval_ms":{"type":"integer"}}}}]`

func (x *exchange) listed() string {
	if x.modern {
		return tools + `,"resultType":"complete","ttlMs":60000,"cacheScope":"public"}`
	}
	return tools + `}`
}

// integer returns a number that is no negative integer, or -1.
func integer(v []byte) int {
	n, err := strconv.Atoi(string(v))
	if err != nil || n < 0 {
		return -1
	}
	return n
}
