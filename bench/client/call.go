package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/sallyport/sallyport/bench/echo"
	"github.com/sallyport/sallyport/bench/jsonscan"
)

// Call is one request that a connection makes again and again.
type Call struct {
	Method string          // such as "tools/call"
	Name   string          // for the Mcp-Name header: what params name; may be empty
	Params json.RawMessage // an object without _meta; nil for none
	Expect []byte          // what each result must contain, byte for byte; empty: anything
	// Progress asks the server for progress notifications.
	Progress bool
}

// ToolCall returns a call of a tool with arguments, which must be a JSON object.
func ToolCall(tool string, arguments json.RawMessage) (Call, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(arguments, &object); err != nil {
		return Call{}, fmt.Errorf("client: arguments must be a JSON object: %w", err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, arguments); err != nil {
		return Call{}, fmt.Errorf("client: arguments: %w", err)
	}
	name, err := json.Marshal(tool)
	if err != nil {
		return Call{}, fmt.Errorf("client: tool: %w", err)
	}
	params := fmt.Appendf(nil, `{"name":%s,"arguments":%s}`, name, compact.Bytes())
	return Call{Method: "tools/call", Name: tool, Params: params}, nil
}

// EchoCall returns a call of the echo server's echo tool whose arguments take
// size bytes and whose answer is a text of answer bytes. The tag makes the text
// of each connection its own, so that a mixed-up reply is noticed.
func EchoCall(tag string, size, answer int, events bool) Call {
	more := fmt.Sprintf(`,"answer_bytes":%d`, answer)
	if events {
		more += `,"sse":true`
	}
	text := []byte(tag + ":")
	for room := size - len(`{"text":""`) - len(more) - len(`}`); len(text) < room; {
		const prose = "The quick brown fox jumps over the lazy dog near the river bank while forty clerks file their reports. "
		text = append(text, prose[:min(len(prose), room-len(text))]...)
	}
	expect := append([]byte(`"text":"`), echo.Fill(nil, text, answer)...)
	return Call{
		Method: "tools/call", Name: "echo",
		Params: fmt.Appendf(nil, `{"name":"echo","arguments":{"text":"%s"%s}}`, text, more),
		Expect: append(expect, '"'),
	}
}

// prepared is a call as bytes: a request's head up to its length, and its body
// before and after the id.
type prepared struct {
	head          []byte
	before, after []byte
	expect        []byte
}

func (c *Conn) prepare(call Call) *prepared {
	modern := c.cfg.Revision >= Modern
	head := c.commonHead([]byte("POST "), c.cfg.Revision)
	head = append(head, "content-type: application/json\r\naccept: application/json, text/event-stream\r\n"...)
	params := bytes.TrimSpace(call.Params)
	if len(params) > 0 {
		params = bytes.TrimSpace(params[1 : len(params)-1])
	}
	var meta []string
	if modern {
		head = fmt.Appendf(head, "mcp-method: %s\r\n", call.Method)
		if call.Name != "" {
			head = fmt.Appendf(head, "mcp-name: %s\r\n", call.Name)
		}
		meta = append(meta, `"io.modelcontextprotocol/protocolVersion":"`+c.cfg.Revision+`"`,
			`"io.modelcontextprotocol/clientCapabilities":{}`,
			`"io.modelcontextprotocol/clientInfo":{"name":"mcpload","version":"1"}`)
	}
	if call.Progress {
		meta = append(meta, `"progressToken":1`)
	}
	after := fmt.Appendf(nil, `,"method":%q,"params":{%s`, call.Method, params)
	if len(meta) > 0 {
		if len(params) > 0 {
			after = append(after, ',')
		}
		after = append(after, `"_meta":{`...)
		for i, m := range meta {
			if i > 0 {
				after = append(after, ',')
			}
			after = append(after, m...)
		}
		after = append(after, '}')
	}
	return &prepared{head: head, before: []byte(`{"jsonrpc":"2.0","id":`), after: append(after, "}}"...), expect: call.Expect}
}

// commonHead appends what all requests have behind their method.
func (c *Conn) commonHead(b []byte, revision string) []byte {
	b = fmt.Appendf(b, "%s HTTP/1.1\r\nhost: %s\r\nuser-agent: mcpload\r\n", c.at.RequestURI(), c.at.Host)
	if revision != "" {
		b = fmt.Appendf(b, "mcp-protocol-version: %s\r\n", revision)
	}
	if c.session != "" {
		b = fmt.Appendf(b, "mcp-session-id: %s\r\n", c.session)
	}
	for _, h := range c.cfg.Headers {
		b = append(append(b, h...), "\r\n"...)
	}
	return b
}

// Call makes the call once and checks the reply. The error is an [*Error].
func (c *Conn) Call() error {
	if err := c.ask(); err != nil {
		return err
	}
	if err := c.receive(); err != nil {
		return err
	}
	return c.check(c.call.expect)
}

// ask sends the call with the next id.
func (c *Conn) ask() error {
	c.id++
	var digits [20]byte
	id := strconv.AppendInt(digits[:0], c.id, 10)
	p := c.call
	b := append(append(c.out[:0], p.head...), "content-length: "...)
	b = strconv.AppendInt(b, int64(len(p.before)+len(id)+len(p.after)), 10)
	b = append(append(b, "\r\n\r\n"...), p.before...)
	c.out = append(append(b, id...), p.after...)
	return c.write(c.out)
}

// initialize begins a session. The server may choose an older revision.
func (c *Conn) initialize() error {
	c.session = ""
	head := append(c.commonHead([]byte("POST "), ""), "content-type: application/json\r\naccept: application/json, text/event-stream\r\n"...)
	c.id++
	body := fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%d,"method":"initialize","params":{"protocolVersion":%q,"capabilities":{},"clientInfo":{"name":"mcpload","version":"1"}}}`, c.id, c.cfg.Revision)
	if err := c.send(head, body); err != nil {
		return err
	}
	if err := c.receive(); err != nil {
		return err
	}
	if err := c.check(nil); err != nil {
		return fmt.Errorf("initialize: %w", err)
	}
	message, _ := c.message()
	version := jsonscan.Text(jsonscan.Get(jsonscan.Get(message, "result"), "protocolVersion"))
	if version == nil {
		return &Error{"bad_reply", true, errors.New("initialize: the result has no protocolVersion")}
	}
	c.cfg.Revision = string(version)
	head = append(c.commonHead([]byte("POST "), c.cfg.Revision), "content-type: application/json\r\naccept: application/json, text/event-stream\r\n"...)
	if err := c.send(head, []byte(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)); err != nil {
		return err
	}
	if err := c.receive(); err != nil {
		return err
	}
	if c.head.Status/100 != 2 {
		return &Error{"http_" + strconv.Itoa(c.head.Status), true, errors.New("notifications/initialized was refused")}
	}
	return nil
}
