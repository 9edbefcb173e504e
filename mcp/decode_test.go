package mcp_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/mcp"
)

const (
	parse       = mcp.CodeParse
	request     = mcp.CodeInvalidRequest
	params      = mcp.CodeInvalidParams
	noSuch      = mcp.CodeMethodNotFound
	callX       = `"method":"tools/call","params":{"name":"x"}`
	head        = `"jsonrpc":"2.0","id":7,`
	modernMeta  = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
	longS       = "\u017f"
	kelvin      = "\u212a"
	dotlessI    = "\u0131"
	safeInteger = "9007199254740991"
)

// The rows of "Ambiguities and the safe handling" and their neighbours. id is
// the one the answer has to carry, empty for none.
var refused = []struct {
	name, raw string
	code      int
	id        string
}{
	// Duplicate keys: every SDK lets the last win, some policy engines the first.
	{"duplicate key in params", `{` + head + `"method":"tools/call","params":{"name":"safe","name":"danger"}}`, request, "7"},
	{"duplicate key in another spelling", `{` + head + `"method":"tools/call","params":{"name":"safe","\u006eame":"danger"}}`, request, "7"},
	{"duplicate params", `{` + head + callX + `,"params":{"name":"y"}}`, request, "7"},
	{"duplicate method", `{` + head + callX + `,"method":"ping"}`, request, "7"},
	{"duplicate key deep in the arguments", `{` + head + `"method":"tools/call","params":{"name":"x","arguments":{"a":[{"b":1,"c":2,"b":3}]}}}`, request, "7"},
	{"duplicate empty key", `{` + head + `"method":"tools/call","params":{"name":"x","arguments":{"":1,"":2}}}`, request, "7"},
	{"duplicate key in a big object", `{` + head + `"method":"tools/call","params":{"name":"x","arguments":` + object(100, `"k50":0`) + `}}`, request, "7"},
	{"duplicate escaped key in a big object", `{` + head + `"method":"tools/call","params":{"name":"x","arguments":` + object(100, `"k5\u0030":0`) + `}}`, request, "7"},
	{"duplicate unknown envelope key", `{` + head + callX + `,"x":1,"x":2}`, request, "7"},
	{"duplicate id is never guessed", `{` + head + `"id":8,` + callX + `}`, request, ""},
	{"an id in another case makes the id ambiguous", `{` + head + `"ID":8,` + callX + `}`, request, ""},
	{"an escaped second id makes the id ambiguous", `{` + head + `"\u0069d":8,` + callX + `}`, request, ""},
	{"an id with a dotless i makes the id ambiguous", `{` + head + `"` + dotlessI + `d":8,` + callX + `}`, request, ""},

	// Keys that case-insensitive decoders take for another.
	{"Name beside name", `{` + head + `"method":"tools/call","params":{"name":"safe","Name":"danger"}}`, request, "7"},
	{"NAME instead of name", `{` + head + `"method":"tools/call","params":{"NAME":"danger"}}`, request, "7"},
	{"Params beside params", `{` + head + callX + `,"Params":{"name":"danger"}}`, request, "7"},
	{"params with a long s", `{` + head + callX + `,"param` + longS + `":{"name":"danger"}}`, request, "7"},
	{"params with an escaped long s", `{` + head + callX + `,"param\u017f":{"name":"danger"}}`, request, "7"},
	{"tasks with a Kelvin sign", `{` + head + `"method":"tasks/get","params":{"taskId":"1","tas` + kelvin + `Id":"2"}}`, request, "7"},
	{"taskid in lower case", `{` + head + `"method":"tasks/get","params":{"taskId":"1","taskid":"2"}}`, request, "7"},
	{"Arguments", `{` + head + `"method":"tools/call","params":{"name":"x","Arguments":{}}}`, request, "7"},
	{"_META", `{` + head + `"method":"tools/call","params":{"name":"x","_META":{}}}`, request, "7"},
	{"meta key in another case", `{` + head + `"method":"ping","params":{"_meta":{"io.modelcontextprotocol/protocolversion":"2026-07-28"}}}`, request, "7"},
	{"Name in a completion ref", `{` + head + `"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"a","Name":"b"}}}`, request, "7"},

	// A key that JavaScript decoders drop, or that others inherit from.
	{"__proto__ in the arguments", `{` + head + `"method":"tools/call","params":{"name":"x","arguments":{"__proto__":{"a":1}}}}`, request, "7"},
	{"__proto__ deep in the arguments, escaped", `{` + head + `"method":"tools/call","params":{"name":"x","arguments":{"a":[{"\u005f_proto__":1}]}}}`, request, "7"},
	{"__proto__ in the envelope", `{` + head + callX + `,"__proto__":{"method":"ping"}}`, request, "7"},

	// More or less than one JSON value.
	{"two values", `{` + head + callX + `}{` + head + callX + `}`, parse, ""},
	{"trailing bytes", `{` + head + callX + `} x`, parse, ""},
	{"trailing NUL", `{` + head + callX + "}\x00", parse, ""},
	{"batch", `[{` + head + callX + `}]`, request, ""},
	{"batch of none", ` []`, request, ""},
	{"byte order mark", "\ufeff{" + head + callX + `}`, parse, ""},
	{"empty body", ``, parse, ""},
	{"blank body", " \r\n\t", parse, ""},
	{"UTF-16", "{\x00\"\x00", parse, ""},
	{"a string", `"tools/call"`, request, ""},
	{"null", `null`, request, ""},
	{"a number", `1`, request, ""},
	{"unfinished", `{` + head + callX, parse, ""},
	{"single quotes", `{'jsonrpc':'2.0'}`, parse, ""},
	{"comment", `{/**/` + head + callX + `}`, parse, ""},
	{"trailing comma", `{` + head + callX + `,}`, parse, ""},
	{"trailing comma in an array", arguments(`[1,]`), parse, ""},
	{"missing comma", arguments(`[1 2]`), parse, ""},
	{"missing colon", arguments(`{"a" 1}`), parse, ""},
	{"wrong bracket", arguments(`[1}`), parse, ""},
	{"form feed as whitespace", "{\f" + head + callX + `}`, parse, ""},

	// Text that decoders repair in different ways.
	{"invalid UTF-8 in a string", arguments("\"a\xff\""), parse, ""},
	{"invalid UTF-8 in a key", arguments("{\"a\xc3\":1}"), parse, ""},
	{"overlong UTF-8", arguments("\"\xc0\xae\""), parse, ""},
	{"surrogate in UTF-8", arguments("\"\xed\xa0\x80\""), parse, ""},
	{"beyond Unicode", arguments("\"\xf4\x90\x80\x80\""), parse, ""},
	{"lone high surrogate", arguments(`"\ud800"`), request, "7"},
	{"lone low surrogate", arguments(`"\udc00x"`), request, "7"},
	{"surrogates in the wrong order", arguments(`"\udc00\ud800"`), request, "7"},
	{"high surrogate before another escape", arguments(`"\ud800\u0041"`), request, "7"},
	{"lone surrogate in a key", arguments(`{"\ud800":1}`), request, "7"},
	{"raw control character", arguments("\"a\nb\""), parse, ""},
	{"unknown escape", arguments(`"\x41"`), parse, ""},
	{"short escape", arguments(`"\u12"`), parse, ""},
	{"NaN", arguments(`NaN`), parse, ""},
	{"Infinity", arguments(`-Infinity`), parse, ""},
	{"leading zero", arguments(`01`), parse, ""},
	{"plus sign", arguments(`+1`), parse, ""},
	{"no digits after the point", arguments(`1.`), parse, ""},
	{"no digits in the exponent", arguments(`1e+`), parse, ""},
	{"hexadecimal", arguments(`0x10`), parse, ""},
	{"True", arguments(`True`), parse, ""},

	// Sizes.
	{"a number of 65 characters", arguments(strings.Repeat("9", 65)), request, "7"},
	{"65 levels", arguments(strings.Repeat("[", 62) + "1" + strings.Repeat("]", 62)), request, "7"},
	{"20000 levels", arguments(strings.Repeat("[", 20000) + "1" + strings.Repeat("]", 20000)), request, ""},
	{"a body above the limit", `{` + head + callX + `}` + strings.Repeat(" ", 4<<20), request, ""},
	{"an object with too many members", arguments(object(16385, `"last":1`)), request, "7"},

	// Ids.
	{"id null", `{"jsonrpc":"2.0","id":null,` + callX + `}`, request, ""},
	{"id with a fraction", `{"jsonrpc":"2.0","id":1.5,` + callX + `}`, request, ""},
	{"id 1.0", `{"jsonrpc":"2.0","id":1.0,` + callX + `}`, request, ""},
	{"id 1e0", `{"jsonrpc":"2.0","id":1e0,` + callX + `}`, request, ""},
	{"id -0", `{"jsonrpc":"2.0","id":-0,` + callX + `}`, request, ""},
	{"id true", `{"jsonrpc":"2.0","id":true,` + callX + `}`, request, ""},
	{"id object", `{"jsonrpc":"2.0","id":{},` + callX + `}`, request, ""},
	{"id array", `{"jsonrpc":"2.0","id":[1],` + callX + `}`, request, ""},
	{"id 2^53", `{"jsonrpc":"2.0","id":9007199254740992,` + callX + `}`, request, ""},
	{"id -2^53", `{"jsonrpc":"2.0","id":-9007199254740992,` + callX + `}`, request, ""},
	{"id of 17 digits", `{"jsonrpc":"2.0","id":10000000000000000,` + callX + `}`, request, ""},
	{"id string of 257 bytes", `{"jsonrpc":"2.0","id":"` + strings.Repeat("a", 257) + `",` + callX + `}`, request, ""},

	// Shapes.
	{"a request method without id", `{"jsonrpc":"2.0",` + callX + `}`, request, ""},
	{"a notification with id", `{` + head + `"method":"notifications/initialized"}`, request, "7"},
	{"method and result", `{` + head + callX + `,"result":{}}`, request, "7"},
	{"method and error", `{` + head + callX + `,"error":{"code":1,"message":"x"}}`, request, "7"},
	{"method and null result", `{` + head + callX + `,"result":null}`, request, "7"},
	{"result and error", `{` + head + `"result":{},"error":{"code":1,"message":"x"}}`, request, ""},
	{"neither", `{"jsonrpc":"2.0","id":7}`, request, ""},
	{"a result with params", `{` + head + `"result":{},"params":{}}`, request, ""},
	{"a response without id", `{"jsonrpc":"2.0","result":{}}`, request, ""},
	{"an error to the server without id", `{"jsonrpc":"2.0","error":{"code":1,"message":"x"}}`, request, ""},
	{"a result that is no object", `{` + head + `"result":[]}`, request, ""},
	{"an error that is no object", `{` + head + `"error":"x"}`, request, ""},
	{"an error without code", `{` + head + `"error":{"message":"x"}}`, request, ""},
	{"an error with a fractional code", `{` + head + `"error":{"code":1.5,"message":"x"}}`, request, ""},
	{"an error without message", `{` + head + `"error":{"code":1}}`, request, ""},
	{"params array", `{` + head + `"method":"tools/call","params":["x"]}`, request, "7"},
	{"params null", `{` + head + `"method":"tools/list","params":null}`, request, "7"},
	{"params string", `{` + head + `"method":"tools/list","params":"x"}`, request, "7"},
	{"jsonrpc missing", `{"id":7,` + callX + `}`, request, "7"},
	{"jsonrpc 1.0", `{"jsonrpc":"1.0","id":7,` + callX + `}`, request, "7"},
	{"jsonrpc as a number", `{"jsonrpc":2.0,"id":7,` + callX + `}`, request, "7"},
	{"method as a number", `{` + head + `"method":1}`, request, "7"},
	{"method empty", `{` + head + `"method":""}`, request, "7"},
	{"method with a control character", `{` + head + `"method":"acme/\u0000"}`, request, "7"},
	{"method of 300 characters", `{` + head + `"method":"` + strings.Repeat("m", 300) + `"}`, request, "7"},
	{"a method of the gateway's own", `{` + head + `"method":"transport/listen"}`, noSuch, "7"},
	{"the same escaped", `{` + head + `"method":"transport\/close"}`, noSuch, "7"},

	// Targets.
	{"tools/call without params", `{` + head + `"method":"tools/call"}`, params, "7"},
	{"tools/call without name", `{` + head + `"method":"tools/call","params":{}}`, params, "7"},
	{"tools/call with a number for a name", `{` + head + `"method":"tools/call","params":{"name":1}}`, params, "7"},
	{"tools/call with an object for a name", `{` + head + `"method":"tools/call","params":{"name":{"name":"x"}}}`, params, "7"},
	{"tools/call with an empty name", `{` + head + `"method":"tools/call","params":{"name":""}}`, params, "7"},
	{"NUL in a tool name", `{` + head + `"method":"tools/call","params":{"name":"x\u0000"}}`, params, "7"},
	{"space in a tool name", `{` + head + `"method":"tools/call","params":{"name":"x y"}}`, params, "7"},
	{"letter beyond ASCII in a tool name", `{` + head + `"method":"tools/call","params":{"name":"sеarch"}}`, params, "7"},
	{"a tool name of 129 characters", `{` + head + `"method":"tools/call","params":{"name":"` + strings.Repeat("x", 129) + `"}}`, params, "7"},
	{"a name that is only in the arguments", `{` + head + `"method":"tools/call","params":{"arguments":{"name":"x"}}}`, params, "7"},
	{"control character in a prompt name", `{` + head + `"method":"prompts/get","params":{"name":"x\u001b"}}`, params, "7"},
	{"resources/read without uri", `{` + head + `"method":"resources/read","params":{"name":"x"}}`, params, "7"},
	{"line break in a uri", `{` + head + `"method":"resources/read","params":{"uri":"file:///a\nb"}}`, params, "7"},
	{"a uri of 8193 bytes", `{` + head + `"method":"resources/read","params":{"uri":"` + strings.Repeat("x", 8193) + `"}}`, params, "7"},
	{"tasks/get without taskId", `{` + head + `"method":"tasks/get","params":{}}`, params, "7"},
	{"completion without ref", `{` + head + `"method":"completion/complete","params":{"argument":{}}}`, params, "7"},
	{"completion with an unknown ref", `{` + head + `"method":"completion/complete","params":{"ref":{"type":"ref/tool","name":"x"}}}`, params, "7"},
	{"completion of a prompt by uri", `{` + head + `"method":"completion/complete","params":{"ref":{"type":"ref/prompt","uri":"x"}}}`, params, "7"},
	{"completion with an array for a ref", `{` + head + `"method":"completion/complete","params":{"ref":[{"type":"ref/prompt","name":"x"}]}}`, params, "7"},
}

// arguments is a call whose arguments hold one value.
func arguments(value string) string {
	return `{` + head + `"method":"tools/call","params":{"name":"x","arguments":{"v":` + value + `}}}`
}

// object has n members before the last one.
func object(n int, last string) string {
	var b strings.Builder
	b.WriteByte('{')
	for i := range n {
		fmt.Fprintf(&b, `"k%d":%d,`, i, i)
	}
	return b.String() + last + "}"
}

func TestRefused(t *testing.T) {
	d := mcp.NewDecoder(mcp.Config{})
	for _, c := range refused {
		t.Run(c.name, func(t *testing.T) {
			m, f := d.Decode(mcp.ToServer, []byte(c.raw))
			if f == nil {
				t.Fatalf("accepted as %v %q %q", m.Kind, m.Method, m.Name)
			}
			if f.Code != c.code || string(f.ID) != c.id {
				t.Errorf("code %d, id %q (%v); want %d, %q", f.Code, f.ID, f, c.code, c.id)
			}
			if m.Kind != mcp.Invalid || m.Raw != nil {
				t.Errorf("a message came with the fault")
			}
			if f.Reason == "" || f.Status == 0 || f.Detail == "" || f.Offset > len(c.raw) {
				t.Errorf("incomplete fault %+v", f)
			}
		})
	}
}

func TestFaultStatus(t *testing.T) {
	modern := `,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}`
	for _, c := range []struct {
		name, raw string
		status    int
		reason    string
	}{
		{"not JSON", `{`, 400, mcp.ReasonMalformed},
		{"not a message", `{}`, 400, mcp.ReasonInvalid},
		{"above the size limit", strings.Repeat(" ", 4<<20+1), 413, mcp.ReasonTooLarge},
		{"above another limit", arguments(strings.Repeat("1", 65)), 400, mcp.ReasonTooLarge},
		{"bad params of a legacy request", `{` + head + `"method":"tools/call","params":{"name":1}}`, 200, mcp.ReasonInvalidParams},
		{"no params of a method that the modern era does not have", `{` + head + `"method":"resources/subscribe","params":{` + modern[1:] + `}}`, 404, mcp.ReasonUnknownMethod},
		{"no params of a method that the legacy era has", `{` + head + `"method":"resources/subscribe","params":{}}`, 200, mcp.ReasonInvalidParams},
		{"bad params of a modern request", `{` + head + `"method":"tools/call","params":{"name":1` + modern + `}}`, 400, mcp.ReasonInvalidParams},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, f := mcp.NewDecoder(mcp.Config{}).Decode(mcp.ToServer, []byte(c.raw))
			if f == nil || f.Status != c.status || f.Reason != c.reason {
				t.Errorf("fault %+v, want status %d, reason %s", f, c.status, c.reason)
			}
		})
	}
}

func TestAccepted(t *testing.T) {
	for _, c := range []struct {
		name string
		dir  mcp.Direction
		raw  string
		want mcp.Message
	}{
		{"call", mcp.ToServer, `{` + head + `"method":"tools/call","params":{"name":"a_B-1.c","arguments":{"name":"y"}}}`,
			mcp.Message{Kind: mcp.Request, ID: []byte("7"), Method: "tools/call", Name: "a_B-1.c"}},
		{"whitespace anywhere", mcp.ToServer, " {\n\"jsonrpc\" : \"2.0\",\r\n\t\"id\" : 7 , \"method\":\"ping\" } \n",
			mcp.Message{Kind: mcp.Request, ID: []byte("7"), Method: "ping"}},
		{"params before the method", mcp.ToServer, `{"params":{"name":"x"},"method":"tools/call","id":7,"jsonrpc":"2.0"}`,
			mcp.Message{Kind: mcp.Request, ID: []byte("7"), Method: "tools/call", Name: "x"}},
		{"escaped key and method", mcp.ToServer, `{` + head + `"\u006dethod":"tools\/call","params":{"n\u0061me":"\u0078"}}`,
			mcp.Message{Kind: mcp.Request, ID: []byte("7"), Method: "tools/call", Name: "x"}},
		{"the id keeps its bytes", mcp.ToServer, `{"jsonrpc":"2.0","id":"\u00e9\/","method":"ping"}`,
			mcp.Message{Kind: mcp.Request, ID: []byte(`"\u00e9\/"`), Method: "ping"}},
		{"empty string id", mcp.ToServer, `{"jsonrpc":"2.0","id":"","method":"ping"}`,
			mcp.Message{Kind: mcp.Request, ID: []byte(`""`), Method: "ping"}},
		{"greatest id", mcp.ToServer, `{"jsonrpc":"2.0","id":` + safeInteger + `,"method":"ping"}`,
			mcp.Message{Kind: mcp.Request, ID: []byte(safeInteger), Method: "ping"}},
		{"least id", mcp.ToServer, `{"jsonrpc":"2.0","id":-` + safeInteger + `,"method":"ping"}`,
			mcp.Message{Kind: mcp.Request, ID: []byte("-" + safeInteger), Method: "ping"}},
		{"id zero", mcp.ToServer, `{"jsonrpc":"2.0","id":0,"method":"ping"}`,
			mcp.Message{Kind: mcp.Request, ID: []byte("0"), Method: "ping"}},
		{"notification", mcp.ToServer, `{"jsonrpc":"2.0","method":"notifications/initialized"}`,
			mcp.Message{Kind: mcp.Notification, Method: "notifications/initialized"}},
		{"unknown method", mcp.ToServer, `{` + head + `"method":"acme/thing","params":{}}`,
			mcp.Message{Kind: mcp.Request, ID: []byte("7"), Method: "acme/thing"}},
		{"response of the client", mcp.ToServer, `{` + head + `"result":{"Content":1}}`,
			mcp.Message{}},
		{"response", mcp.ToClient, `{` + head + `"result":{"content":[]}}`,
			mcp.Message{Kind: mcp.Response, ID: []byte("7")}},
		{"error", mcp.ToClient, `{` + head + `"error":{"code":-32602,"message":"","data":null}}`,
			mcp.Message{Kind: mcp.Failure, ID: []byte("7")}},
		{"error of a server that could not read the id", mcp.ToClient, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}`,
			mcp.Message{Kind: mcp.Failure}},
		{"error of a server without id", mcp.ToClient, `{"jsonrpc":"2.0","error":{"code":-32700,"message":"x"}}`,
			mcp.Message{Kind: mcp.Failure}},
		{"request of the server", mcp.ToClient, `{` + head + `"method":"roots/list"}`,
			mcp.Message{Kind: mcp.Request, ID: []byte("7"), Method: "roots/list"}},
		{"resource update", mcp.ToClient, `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a:b"}}`,
			mcp.Message{Kind: mcp.Notification, Method: "notifications/resources/updated", Name: "a:b"}},
		{"prompt names are free text", mcp.ToServer, `{` + head + `"method":"prompts/get","params":{"name":"Code review é"}}`,
			mcp.Message{Kind: mcp.Request, ID: []byte("7"), Method: "prompts/get", Name: "Code review é"}},
		{"resource", mcp.ToServer, `{` + head + `"method":"resources/read","params":{"uri":"file:///a%20b"}}`,
			mcp.Message{Kind: mcp.Request, ID: []byte("7"), Method: "resources/read", Name: "file:///a%20b"}},
		{"task", mcp.ToServer, `{` + head + `"method":"tasks/cancel","params":{"taskId":"t1"}}`,
			mcp.Message{Kind: mcp.Request, ID: []byte("7"), Method: "tasks/cancel", Name: "t1"}},
		{"completion of a prompt", mcp.ToServer, `{` + head + `"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":""}}}`,
			mcp.Message{Kind: mcp.Request, ID: []byte("7"), Method: "completion/complete", Name: "p"}},
		{"completion of a template", mcp.ToServer, `{` + head + `"method":"completion/complete","params":{"ref":{"type":"ref/resource","uri":"a:{b}"},"argument":{"name":"b","value":""}}}`,
			mcp.Message{Kind: mcp.Request, ID: []byte("7"), Method: "completion/complete", Name: "a:{b}"}},
		{"64 levels", mcp.ToServer, arguments(strings.Repeat("[", 61) + strings.Repeat("]", 61)),
			mcp.Message{Kind: mcp.Request, ID: []byte("7"), Method: "tools/call", Name: "x"}},
		{"a number of 64 characters", mcp.ToServer, arguments("1e" + strings.Repeat("9", 62)),
			mcp.Message{Kind: mcp.Request, ID: []byte("7"), Method: "tools/call", Name: "x"}},
		{"all of Unicode", mcp.ToServer, arguments(`"é€😀 \ud83d\ude00\u0000\u007f"`),
			mcp.Message{Kind: mcp.Request, ID: []byte("7"), Method: "tools/call", Name: "x"}},
		{"arguments have keys of any case", mcp.ToServer, arguments(`{"Name":1,"name":2,"NAME":3}`),
			mcp.Message{Kind: mcp.Request, ID: []byte("7"), Method: "tools/call", Name: "x"}},
		{"a big object", mcp.ToServer, arguments(object(1000, `"last":1`)),
			mcp.Message{Kind: mcp.Request, ID: []byte("7"), Method: "tools/call", Name: "x"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, f := mcp.NewDecoder(mcp.Config{}).Decode(c.dir, []byte(c.raw))
			if c.want.Kind == mcp.Invalid {
				if f == nil || f.ID != nil {
					t.Errorf("a fold in the result passed, or the client's own id was taken for the request's: %+v", f)
				}
				return
			}
			if f != nil {
				t.Fatal(f)
			}
			if m.Kind != c.want.Kind || !bytes.Equal(m.ID, c.want.ID) || m.Method != c.want.Method || m.Name != c.want.Name {
				t.Errorf("got %v %s %q %q, want %v %s %q %q", m.Kind, m.ID, m.Method, m.Name,
					c.want.Kind, c.want.ID, c.want.Method, c.want.Name)
			}
			if m.Direction != c.dir || string(m.Raw) != c.raw {
				t.Error("direction or bytes changed")
			}
		})
	}
}

func TestConfig(t *testing.T) {
	name := `{` + head + `"method":"tools/call","params":{"name":"Search é/1"}}`
	d := mcp.NewDecoder(mcp.Config{AnyNames: true, Limits: mcp.Limits{Bytes: len(name), Depth: 2, StringIDLen: 3}})
	if m, f := d.Decode(mcp.ToServer, []byte(name)); f != nil || m.Name != "Search é/1" {
		t.Errorf("any name: %+v", f)
	}
	for what, raw := range map[string]string{
		"longer":          name + " ",
		"deeper":          `{` + head + `"method":"ping","params":{"a":[]}}`,
		"id too long":     `{"jsonrpc":"2.0","id":"abcd","method":"ping"}`,
		"control in name": `{` + head + `"method":"tools/call","params":{"name":"\u0007"}}`,
	} {
		if _, f := d.Decode(mcp.ToServer, []byte(raw)); f == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	if got := d.Limits().NumberLen; got != mcp.DefaultLimits().NumberLen {
		t.Errorf("an unset limit is %d", got)
	}
}
