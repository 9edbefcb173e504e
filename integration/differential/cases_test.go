package differential

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
	"unicode/utf16"

	"github.com/rogpeppe/go-internal/txtar"
)

// oddity is one case of the corpus: a request or a reply.
type oddity struct {
	file, name string
	why        string   // what the attacker hopes for
	headers    []string // "Name: value" lines, in order
	body       []byte

	// Of a reply only.
	modern   bool   // asked for by clients of the modern era
	status   int    // HTTP status
	framing  string // how the body is sent; see reply framings in upstream_test.go
	trailers []string
}

// load reads the corpus in a folder of testdata. Each archive holds cases of
// one kind. The name of a file in it is the case's, and a sentence; its text is
// lines of "key: value", a blank line, and the body without its last line end.
//
// Keys are why; header, which may be repeated, and era, which stands for the
// headers of that era. Replies also have status; framing; trailer; media, which
// is json or events; era, of the client; ends, for the line ends of the body when
// they are not LF; and cut, for a body without its last line end. Headers and
// bodies are templates between « and », so that bytes which are no text can be seen:
// «hex "efbbbf"», «rep 3 "["», «utf16le "{}"».
func load(t testing.TB, folder string) []oddity {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", folder, "*.txtar"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("corpus %s: %v, %v", folder, paths, err)
	}
	var out []oddity
	seen := make(map[string]bool)
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			c, err := parse(f, folder == "replies")
			if err != nil {
				t.Fatalf("%s: %s: %v", path, f.Name, err)
			}
			c.file = strings.TrimSuffix(filepath.Base(path), ".txtar")
			if c.why == "" || seen[c.file+c.name] {
				t.Errorf("%s: %s: needs a why and a name of its own", path, f.Name)
			}
			seen[c.file+c.name] = true
			out = append(out, c)
		}
	}
	return out
}

func parse(f txtar.File, replies bool) (oddity, error) {
	c := oddity{name: f.Name, status: http.StatusOK}
	head, body, ok := bytes.Cut(f.Data, []byte("\n\n"))
	if !ok {
		return c, errors.New("no blank line before the body")
	}
	cut, ends := !replies, "\n"
	for line := range strings.SplitSeq(string(head), "\n") {
		key, value, _ := strings.Cut(line, ": ")
		switch key {
		case "why":
			c.why = value
		case "header":
			c.headers = append(c.headers, value)
		case "era":
			if replies {
				c.modern = value == "modern"
				continue
			}
			lines, ok := eras[value]
			if !ok {
				return c, fmt.Errorf("no era %q", value)
			}
			c.headers = append(c.headers, lines...)
		case "status":
			if _, err := fmt.Sscan(value, &c.status); err != nil {
				return c, err
			}
		case "media":
			c.headers = append(c.headers, map[string]string{"json": plain, "events": events}[value])
		case "framing":
			c.framing = value
		case "trailer":
			c.trailers = append(c.trailers, value)
		case "cut":
			cut = true
		case "ends":
			if ends, ok = map[string]string{"cr": "\r", "crlf": "\r\n"}[value]; !ok {
				return c, fmt.Errorf("no line end %q", value)
			}
		default:
			return c, fmt.Errorf("no key %q", key)
		}
	}
	if cut {
		body = bytes.TrimSuffix(body, []byte("\n"))
	}
	body = bytes.ReplaceAll(body, []byte("\n"), []byte(ends))
	for i := range c.headers {
		text, err := expand(c.headers[i])
		if err != nil {
			return c, err
		}
		c.headers[i] = string(text)
	}
	var err error
	c.body, err = expand(string(body))
	return c, err
}

// expand carries out the template functions in text.
func expand(text string) ([]byte, error) {
	tmpl, err := template.New("case").Delims("«", "»").Funcs(functions).Parse(text)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := tmpl.Execute(&b, nil); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

const (
	plain  = "Content-Type: application/json"
	events = "Content-Type: text/event-stream"
	accept = "Accept: application/json, text/event-stream"
)

// eras are the headers that clients of an era send with a call of the tool
// safe.
var eras = map[string][]string{
	"none":          {accept},
	"legacy":        {plain, accept, "MCP-Protocol-Version: 2025-06-18"},
	"2025-03-26":    {plain, accept},
	"modern":        {plain, accept, "MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: safe"},
	"modern danger": {plain, accept, "MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: danger"},
}

var functions = template.FuncMap{
	"hex": func(s string) (string, error) {
		b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
		return string(b), err
	},
	"rep":     func(n int, s string) string { return strings.Repeat(s, n) },
	"utf16le": func(s string) string { return wide(s, 2, false) },
	"utf16be": func(s string) string { return wide(s, 2, true) },
	"utf32le": func(s string) string { return wide(s, 4, false) },
	"utf32be": func(s string) string { return wide(s, 4, true) },
	"meta": func() string {
		return `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},` +
			`"io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"}}`
	},
	"members": func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"k%d":%d,`, i, i)
		}
		return b.String()
	},
	"id": func() string { return idMark },
	"says": func(text string) string {
		return `"result":{"content":[{"type":"text","text":"` + text + `"}],"resultType":"complete"}`
	},
	"answer": func(text string) string {
		return `{"jsonrpc":"2.0","id":` + idMark + `,"result":{"content":[{"type":"text","text":"` + text + `"}],"resultType":"complete"}}`
	},
	"note": func(text string) string {
		return `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"` + text + `"}}`
	},
	"ask": func(id string) string {
		return `{"jsonrpc":"2.0","id":` + id + `,"method":"elicitation/create","params":{"message":"Your password?","requestedSchema":{"type":"object","properties":{}}}}`
	},
}

// idMark stands for the id of the client's request in the body of a reply.
const idMark = "(the id)"

// wide writes s in code units of so many bytes.
func wide(s string, size int, big bool) string {
	var units []uint32
	if size == 2 {
		for _, u := range utf16.Encode([]rune(s)) {
			units = append(units, uint32(u))
		}
	} else {
		for _, r := range s {
			units = append(units, uint32(r))
		}
	}
	var b []byte
	for _, u := range units {
		for i := range size {
			shift := 8 * i
			if big {
				shift = 8 * (size - 1 - i)
			}
			b = append(b, byte(u>>shift))
		}
	}
	return string(b)
}

// golden compares got with a file of testdata/out, or rewrites it with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "out", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	g, w := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(g), len(w)) {
		var a, b string
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			t.Errorf("%s, line %d differs (-update rewrites the file):\n got %s\nwant %s", path, i+1, a, b)
		}
	}
}
