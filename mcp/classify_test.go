package mcp_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/mcp"
)

// headers is a block of "name: value" lines.
type headers []string

func (h headers) Get(name string) (value string, n int) {
	for _, line := range h {
		if k, v, _ := strings.Cut(line, ":"); strings.EqualFold(k, name) {
			value = strings.Trim(v, " ")
			n++
		}
	}
	return value, n
}

const (
	vHeader = "MCP-Protocol-Version: "
	modern  = vHeader + "2026-07-28"
)

func modernCall(method, params string) string {
	if params != "" {
		params = "," + params
	}
	return `{` + head + `"method":"` + method + `","params":{` + modernMeta + params + `}}`
}

func metaCall(version string) string {
	return `{` + head + `"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":` + version + `,"io.modelcontextprotocol/clientCapabilities":{}}}}`
}

func TestClassify(t *testing.T) {
	ping := `{` + head + `"method":"ping"}`
	list := `{` + head + `"method":"tools/list"}`
	note := `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`
	answer := `{` + head + `"result":{}}`
	mList := headers{modern, "Mcp-Method: tools/list"}
	mismatch := mcp.CodeHeaderMismatch
	for _, c := range []struct {
		name       string
		headers    headers
		raw        string
		negotiated mcp.Revision
		want       mcp.Revision
		code       int
		status     int
	}{
		// Legacy.
		{"no header and no session", nil, ping, 0, mcp.R20250326, 0, 0},
		{"no header but a session", nil, ping, mcp.R20251125, mcp.R20251125, 0, 0},
		{"a legacy header", headers{vHeader + "2025-06-18"}, ping, 0, mcp.R20250618, 0, 0},
		{"a legacy header that agrees with the session", headers{vHeader + "2025-06-18"}, ping, mcp.R20250618, mcp.R20250618, 0, 0},
		{"a legacy header that does not", headers{vHeader + "2025-03-26"}, ping, mcp.R20250618, 0, request, 400},
		{"an unknown legacy version gets no modern code", headers{vHeader + "2024-11-05"}, ping, 0, 0, request, 400},
		{"a version that is no date gets no modern code", headers{vHeader + "banana"}, ping, 0, 0, request, 400},
		{"an empty version", headers{vHeader}, ping, 0, 0, request, 400},
		{"two legacy headers", headers{vHeader + "2025-06-18", vHeader + "2025-06-18"}, ping, 0, 0, request, 400},
		{"two versions on one line", headers{vHeader + "2025-06-18, 2026-07-28"}, ping, 0, 0, request, 400},
		{"names in headers mean nothing on a legacy request", headers{vHeader + "2025-06-18", "Mcp-Method: x", "Mcp-Name: y"}, `{` + head + callX + `}`, 0, mcp.R20250618, 0, 0},
		{"a legacy response", headers{vHeader + "2025-06-18"}, answer, 0, mcp.R20250618, 0, 0},
		{"initialize is of the version it asks for", nil, `{` + head + `"method":"initialize","params":{"protocolVersion":"2025-06-18"}}`, 0, mcp.R20250618, 0, 0},
		{"whatever header comes with it", headers{vHeader + "2025-11-25"}, `{` + head + `"method":"initialize","params":{"protocolVersion":"2025-06-18"}}`, 0, mcp.R20250618, 0, 0},
		{"initialize may ask for what we do not know", nil, `{` + head + `"method":"initialize","params":{"protocolVersion":"2024-11-05"}}`, 0, mcp.R20251125, 0, 0},
		{"a modern agreement of a session is none", nil, ping, mcp.R20260728, mcp.R20250326, 0, 0},

		// Modern: body and header.
		{"body and header agree", mList, metaCall(`"2026-07-28"`), 0, mcp.R20260728, 0, 0},
		{"first contact of go-sdk 1.8.0", headers{modern, "Mcp-Method: server/discover"}, modernCall("server/discover", ""), 0, mcp.R20260728, 0, 0},
		{"modern body without header, which two SDKs run as legacy", headers{"Mcp-Method: tools/list"}, metaCall(`"2026-07-28"`), 0, 0, mismatch, 400},
		{"modern body with an older header, likewise", headers{vHeader + "2025-11-25"}, metaCall(`"2026-07-28"`), 0, 0, mismatch, 400},
		{"modern header without body", mList, list, 0, 0, params, 400},
		{"modern header with an older body", mList, metaCall(`"2025-11-25"`), 0, 0, mismatch, 400},
		{"modern header with a number for a version", mList, metaCall(`20260728`), 0, 0, params, 400},
		{"modern header twice", headers{modern, modern, "Mcp-Method: tools/list"}, metaCall(`"2026-07-28"`), 0, 0, mismatch, 400},
		{"modern initialize", headers{modern, "Mcp-Method: initialize"}, `{` + head + `"method":"initialize","params":{"protocolVersion":"2026-07-28"}}`, 0, 0, params, 400},
		{"no client capabilities", mList, `{` + head + `"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`, 0, 0, params, 400},
		{"client capabilities that are no object", mList, `{` + head + `"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":[]}}}`, 0, 0, params, 400},
		{"an unknown modern version", headers{vHeader + "2027-01-01", "Mcp-Method: tools/list"}, metaCall(`"2027-01-01"`), 0, 0, mcp.CodeUnsupportedVersion, 400},
		{"a legacy version in both places is no modern one", headers{vHeader + "2025-11-25"}, metaCall(`"2025-11-25"`), 0, 0, mcp.CodeUnsupportedVersion, 400},
		{"a version in the result's _meta is nothing", nil, `{` + head + `"result":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`, 0, mcp.R20250326, 0, 0},
		{"a version in the arguments is nothing", nil, arguments(`{` + modernMeta + `}`), 0, mcp.R20250326, 0, 0},

		// Modern: method and name.
		{"no Mcp-Method", headers{modern}, metaCall(`"2026-07-28"`), 0, 0, mismatch, 400},
		{"another Mcp-Method", headers{modern, "Mcp-Method: tools/call"}, metaCall(`"2026-07-28"`), 0, 0, mismatch, 400},
		{"Mcp-Method in another case", headers{modern, "Mcp-Method: Tools/List"}, metaCall(`"2026-07-28"`), 0, 0, mismatch, 400},
		{"two Mcp-Method headers", append(mList, "Mcp-Method: tools/list"), metaCall(`"2026-07-28"`), 0, 0, mismatch, 400},
		{"Mcp-Name agrees", headers{modern, "Mcp-Method: tools/call", "Mcp-Name: x"}, modernCall("tools/call", `"name":"x"`), 0, mcp.R20260728, 0, 0},
		{"Mcp-Name in base64 agrees", headers{modern, "Mcp-Method: prompts/get", "Mcp-Name: =?base64?w6k=?="}, modernCall("prompts/get", `"name":"é"`), 0, mcp.R20260728, 0, 0},
		{"Mcp-Name names a resource", headers{modern, "Mcp-Method: resources/read", "Mcp-Name: a:b"}, modernCall("resources/read", `"uri":"a:b"`), 0, mcp.R20260728, 0, 0},
		{"Mcp-Name names a task", headers{modern, "Mcp-Method: tasks/get", "Mcp-Name: t"}, modernCall("tasks/get", `"taskId":"t"`), 0, mcp.R20260728, 0, 0},
		{"header says safe, body danger", headers{modern, "Mcp-Method: tools/call", "Mcp-Name: safe"}, modernCall("tools/call", `"name":"danger"`), 0, 0, mismatch, 400},
		{"no Mcp-Name", headers{modern, "Mcp-Method: tools/call"}, modernCall("tools/call", `"name":"x"`), 0, 0, mismatch, 400},
		{"two Mcp-Name headers", headers{modern, "Mcp-Method: tools/call", "Mcp-Name: x", "Mcp-Name: x"}, modernCall("tools/call", `"name":"x"`), 0, 0, mismatch, 400},
		{"two Mcp-Name headers where none is needed", append(mList, "Mcp-Name: x", "Mcp-Name: x"), metaCall(`"2026-07-28"`), 0, 0, mismatch, 400},
		{"broken base64 in Mcp-Name", headers{modern, "Mcp-Method: tools/call", "Mcp-Name: =?base64?eA?="}, modernCall("tools/call", `"name":"x"`), 0, 0, mismatch, 400},

		// Modern: kinds.
		{"a notification needs headers only, as go-sdk 1.8.0 sends it", headers{modern, "Mcp-Method: notifications/cancelled"}, note, 0, mcp.R20260728, 0, 0},
		{"and may come without Mcp-Method", headers{modern}, note, 0, mcp.R20260728, 0, 0},
		{"but not with another", headers{modern, "Mcp-Method: tools/call"}, note, 0, 0, mismatch, 400},
		{"a notification with a version in the body only", nil, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{` + modernMeta + `}}`, 0, 0, mismatch, 400},
		{"a modern client posts a response", headers{modern}, answer, 0, 0, request, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, f := mcp.NewDecoder(mcp.Config{}).Decode(mcp.ToServer, []byte(c.raw))
			if f != nil {
				t.Fatal(f)
			}
			r, f := mcp.Classify(c.headers, &m, c.negotiated)
			checkClassified(t, r, f, c.want, c.code, c.status)
			if f != nil && m.Kind == mcp.Request && string(f.ID) != "7" || f != nil && m.Kind != mcp.Request && f.ID != nil {
				t.Errorf("id of the fault %q", f.ID)
			}
			built := mcp.Message{Direction: m.Direction, Kind: m.Kind, ID: m.ID, Method: m.Method, Name: m.Name, Params: m.Params}
			r, f = mcp.Classify(c.headers, &built, c.negotiated)
			checkClassified(t, r, f, c.want, c.code, c.status)
		})
	}
}

func checkClassified(t *testing.T, r mcp.Revision, f *mcp.Fault, want mcp.Revision, code, status int) {
	t.Helper()
	switch {
	case code == 0 && (f != nil || r != want):
		t.Errorf("got %v, %v; want %v", r, f, want)
	case code != 0 && (f == nil || f.Code != code || f.Status != status || r != 0):
		t.Errorf("got %v, %+v; want code %d, status %d", r, f, code, status)
	}
}

func TestUnsupportedVersionSaysWhatIs(t *testing.T) {
	m, _ := mcp.NewDecoder(mcp.Config{}).Decode(mcp.ToServer, []byte(metaCall(`"2027-01-01"`)))
	_, f := mcp.Classify(headers{vHeader + "2027-01-01"}, &m, 0)
	want := `{"supported":["2025-03-26","2025-06-18","2025-11-25","2026-07-28"],"requested":"2027-01-01"}`
	if f == nil || string(f.Data) != want {
		t.Errorf("%+v, want data %s", f, want)
	}
}

func TestBodylessRequests(t *testing.T) {
	d := mcp.NewDecoder(mcp.Config{})
	for _, method := range []string{mcp.MethodListen, mcp.MethodClose} {
		m := mcp.TransportMessage(method)
		if r, f := mcp.Classify(headers{vHeader + "2025-06-18"}, &m, 0); f != nil || r != mcp.R20250618 || d.CheckMethod(&m, r) != nil {
			t.Errorf("legacy %s: %v, %v", method, r, f)
		}
		if _, f := mcp.Classify(headers{modern}, &m, 0); f == nil || f.Status != 405 || f.Reason != mcp.ReasonWrongTransport {
			t.Errorf("modern %s: %+v", method, f)
		}
		if f := d.CheckMethod(&m, mcp.R20260728); f == nil || f.Status != 405 {
			t.Errorf("modern %s: %+v", method, f)
		}
	}
}

func TestCheckMedia(t *testing.T) {
	const json = "Content-Type: application/json"
	for _, c := range []struct {
		name    string
		headers headers
		ok      bool
	}{
		{"plain JSON", headers{json}, true},
		{"any case", headers{"content-type: Application/JSON"}, true},
		{"charset utf-8", headers{json + "; charset=UTF-8"}, true},
		{"charset quoted", headers{json + `;charset="utf-8"`}, true},
		{"identity coding", headers{json, "Content-Encoding: identity"}, true},
		{"none", nil, false},
		{"two types in one header, which Python accepts", headers{json + ", text/plain"}, false},
		{"two headers", headers{json, json}, false},
		{"text", headers{"Content-Type: text/plain"}, false},
		{"a type that begins alike", headers{"Content-Type: application/json-patch+json"}, false},
		{"another charset", headers{json + "; charset=utf-16"}, false},
		{"two charsets", headers{json + "; charset=utf-8; charset=utf-16"}, false},
		{"another parameter", headers{json + "; boundary=x"}, false},
		{"gzip, which servers ignore", headers{json, "Content-Encoding: gzip"}, false},
		{"two codings", headers{json, "Content-Encoding: identity", "Content-Encoding: identity"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			switch f := mcp.CheckMedia(c.headers); {
			case c.ok && f != nil:
				t.Error(f)
			case !c.ok && (f == nil || f.Status != 415 || f.Reason != mcp.ReasonUnsupportedMedia):
				t.Errorf("fault %+v, want 415", f)
			}
		})
	}
}

func TestHeaderParam(t *testing.T) {
	for _, c := range []struct {
		value, want string
		ok          bool
	}{
		{"us-west1", "us-west1", true},
		{"", "", true},
		{"=?base64?SGVsbG8=?=", "Hello", true},
		{"=?base64?5pel5pys6Kqe?=", "日本語", true},
		{"=?base64??=", "", true},
		{"=?BASE64?SGVsbG8=?=", "=?BASE64?SGVsbG8=?=", true},
		{"=?base64?SGVsbG8=", "=?base64?SGVsbG8=", true},
		{"=?base64?=", "=?base64?=", true},
		{"=?base64?SGVsbG8?=", "", false},
		{"=?base64?SGVsbG9=?=", "", false}, // bits left over
		{"=?base64?SGVs\nbG8=?=", "", false},
		{"=?base64?/w==?=", "", false}, // not UTF-8
		{"é", "", false},
		{"a\x00b", "", false},
	} {
		got, err := mcp.HeaderParam(c.value)
		if got != c.want || (err == nil) != c.ok {
			t.Errorf("HeaderParam(%q) = %q, %v; want %q, ok %v", c.value, got, err, c.want, c.ok)
		}
	}
}
