package standard_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/mcp"
)

const (
	clientPage = "../../docs/client-places.md"
	clientHead = `# Where a client's text can stand

Whatever a client, or a model by its hand, writes can reach a server: here ` + "`dlp`" + ` looks for secrets and personal data in it. The page lists the messages and the members of each in which the protocol's schemas have text.
It is written by a test (` + "`go test ./guard/standard -run ClientsPlaces -update`" + `) that plants an AWS key, a GitHub token, a private key, an access token, a card number and a key in base64 in each of %d places
(` + "`guard/standard/testdata/client-places.txt`" + `, made from the schemas by ` + "`go run ./eval/places -client`" + `), as value and as name, and sees each refused, or masked.

Revisions: A 2025-03-26, B 2025-06-18, C 2025-11-25, D 2026-07-28. ` + "`*`" + ` is any name that the client chooses, also beside ` + "`params`" + `; ` + "`[]`" + ` is each of a list.

*Text* is read like any text. *Own* is the client's and comes back to it, such as an id: what has a form of its own is found, and what would be replaced is blocked. *The server's* is what the server made and gets back, such as a cursor:
there secrets of a known form, cards and account numbers are found; what is signed like a token passes if it says of nobody what they may do. [Why](adr/0099-handles-are-read-by-form.md).
`
	clientTail = `
## Headers

| header | read as |
| --- | --- |
| ` + "`Mcp-Param-*`, `Mcp-Name`, `Mcp-Method`, any other `Mcp-*`" + ` | text, decoded where it is base64; not what the body says too. What a client calls such a header, and ` + "`X-Envoy-*`" + `, is read as well |
| ` + "`User-Agent`, `Accept`, `Accept-Language`, `Cache-Control`, `Baggage`, `Tracestate`, `X-Request-Id`" + `, the path where routes are the operator's own | text |
| ` + "`Traceparent`" + ` | nothing, where it is well-formed; what a later version adds: text; else it does not pass |
| ` + "`Mcp-Session-Id`" + ` as the server knows it, ` + "`Last-Event-ID`" + ` | the server's |
| all others | do not reach the server, or are Envoy's own |

An id of fewer than 8 bytes, a number of fewer than 13 digits and a UUID are not looked into.
`
)

func TestThePageOfAClientsPlacesIsUpToDate(t *testing.T) {
	type row struct{ kind, method string }
	members, revisions := make(map[row]map[string]map[string]bool), make(map[row]string)
	all := placesIn(t, "testdata/client-places.txt", 700)
	for _, p := range all {
		r := row{p.kind, p.method}
		if members[r] == nil {
			members[r] = map[string]map[string]bool{"text": {}, "own": {}, "issued": {}}
		}
		m, f := decoder.Decode(mcp.ToServer, []byte(p.clientBody("12345678", false)))
		if f != nil && f.Code == mcp.CodeParse {
			t.Fatalf("%v: %v", p, f)
		}
		as := "text"
		switch m.Handle(p.pointer) {
		case mcp.Own:
			as = "own"
		case mcp.Issued:
			as = "issued"
		}
		name := "*"
		if strings.Count(p.pointer, "/") > 1 {
			name = strings.TrimPrefix(member(p.pointer), ".")
		}
		if p.pointer == "/id" {
			name = "id"
		}
		if as != "text" && strings.Contains(p.pointer, "/_meta/") {
			name = "_meta…" + p.pointer[strings.LastIndexByte(p.pointer, '/')+1:]
		}
		members[r][as][strings.Replace(name, "_meta…", "_meta.", 1)] = true
		for _, letter := range p.revisions {
			if !strings.ContainsRune(revisions[r], letter) {
				revisions[r] += string(letter)
			}
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, clientHead, len(all))
	for _, kind := range []struct{ word, title string }{{"request", "Requests"}, {"notification", "Notifications"}, {"result", "Answers to what servers ask"}, {"error", "Errors"}} {
		fmt.Fprintf(&b, "\n## %s\n\n| of | revisions | text | own | the server's |\n| --- | --- | --- | --- | --- |\n", kind.title)
		for _, r := range slices.SortedFunc(maps.Keys(members), func(a, b row) int { return strings.Compare(a.method, b.method) }) {
			if r.kind != kind.word {
				continue
			}
			letters := strings.Split(revisions[r], "")
			slices.Sort(letters)
			fmt.Fprintf(&b, "| `%s` | %s |", r.method, strings.Join(letters, ""))
			for _, as := range []string{"text", "own", "issued"} {
				cell := ""
				if names := slices.Sorted(maps.Keys(members[r][as])); len(names) > 0 {
					cell = "`" + strings.Join(names, "`, `") + "`"
				}
				fmt.Fprintf(&b, " %s |", cell)
			}
			b.WriteString("\n")
		}
	}
	keepPage(t, clientPage, b.String()+clientTail)
}
