package standard_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard/dlp"
	"github.com/sallyport/sallyport/guard/injection"
)

var update = flag.Bool("update", false, "write the page that is made from the code")

const (
	page = "../../docs/content-places.md"
	head = `# Where a server's text can stand

Every message to the client is looked into whole: names of members, strings and numbers, at any depth, of results, errors, notifications and
requests. This page lists the messages, the members of each in which the protocol's schemas have text, and what ` + "`injection` and `dlp`" + ` take them for. It is written
by a test (` + "`go test ./guard/standard -run Page -update`" + `) that plants an order to the model, an address and a key in each of %d places (` + "`guard/standard/testdata/places.txt`" + `, made from the
schemas by ` + "`go run ./eval/places`" + `) in each revision that has it, and sees them labelled, masked or quarantined, and refused.

Revisions: A 2025-03-26, B 2025-06-18, C 2025-11-25, D 2026-07-28. *Injection* and *dlp* name the settings that count: ` + "`results` or `descriptions` of `guards.injection`, `to_client` or `descriptions` of `guards.dlp`" + `. What is
nested in ` + "`inputRequests`" + ` (D) counts as the message that it stands in. Replies that come late, on a stream of their own, count as results. ` + "`*`" + ` is any name that the server chooses; ` + "`[]`" + ` is each of a list.

Cursors, ` + "`requestState`, `progressToken`, `requestId` and `taskId`" + `, at those places of the protocol and nowhere else, go back to the server as they came: ` + "`injection`" + ` reads them, and ` + "`dlp`" + ` looks for secrets of a known form in them, which can be blocked and not masked. What a client writes has [its own page](client-places.md).
`
	tail = `
What is no JSON-RPC never reaches the client: comments in streams, bodies of another type, pages of errors and redirects are dropped or replaced. Images, sound and other binary content pass unread; base64 of text
in ` + "`blob` and `data`" + ` does not.
`
)

// The page says what the guards do, because it is what they did.
func TestThePageOfPlacesIsUpToDate(t *testing.T) {
	results := chain(t, func(c *injection.Config) { c.Descriptions = injection.Thresholds{} }, func(c *dlp.Config) { c.Described = dlp.Actions{PII: "allow", Secret: "allow"} })
	type row struct{ kind, method string }
	members, revisions := make(map[row]map[string]bool), make(map[row]string)
	taken := make(map[row]map[string]bool)
	each(t, plantedOrder+" "+plantedPII, func(p planted) {
		if p.late || p.returned() {
			return
		}
		_, labels := p.run(t, results)
		r := row{p.kind, p.method}
		if members[r] == nil {
			members[r], taken[r] = make(map[string]bool), make(map[string]bool)
		}
		members[r][member(p.pointer)] = true
		for _, letter := range p.revisions {
			if !strings.ContainsRune(revisions[r], letter) {
				revisions[r] += string(letter)
			}
		}
		i, c := "descriptions", "descriptions"
		if has(labels, "injection") {
			i = "results"
		}
		if has(labels, "pii") {
			c = "to_client"
		}
		taken[r][i+" | "+c] = true
	})
	var b strings.Builder
	fmt.Fprintf(&b, head, len(places(t)))
	for _, kind := range []string{"result", "error", "request", "notification"} {
		fmt.Fprintf(&b, "\n## %ss\n\n| of | revisions | members with text | injection | dlp |\n| --- | --- | --- | --- | --- |\n", strings.ToUpper(kind[:1])+kind[1:])
		for _, r := range slices.SortedFunc(maps.Keys(members), func(a, b row) int { return strings.Compare(a.method, b.method) }) {
			if r.kind != kind {
				continue
			}
			if len(taken[r]) != 1 {
				t.Errorf("%s %s: is taken for several things: %v", r.kind, r.method, taken[r])
			}
			letters := strings.Split(revisions[r], "")
			slices.Sort(letters)
			fmt.Fprintf(&b, "| `%s` | %s | `%s` | %s |\n", r.method, strings.Join(letters, ""), strings.Join(slices.Sorted(maps.Keys(members[r])), "`, `"), strings.Join(slices.Collect(maps.Keys(taken[r])), ""))
		}
	}
	keepPage(t, page, b.String()+tail)
}

// keepPage holds the page at path to what it should say.
func keepPage(t *testing.T, path, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(path); err != nil || string(have) != want {
		t.Errorf("%s is out of date (%v); run go test ./guard/standard -run %s -update", path, err, t.Name())
	}
}

// member is the part of a pointer that a reader wants to know of.
func member(pointer string) string {
	steps := strings.Split(pointer, "/")[2:]
	out := ""
	for i, s := range steps[:min(3, len(steps))] {
		switch {
		case s == "0":
			out += "[]"
		case s == "_meta", s == "inputRequests", s == "capabilities", s == "icons":
			return strings.TrimPrefix(out+"."+s, ".")
		case i > 0 && steps[i-1] == "*" && i > 1:
			return out
		default:
			out += "." + strings.ReplaceAll(s, "~1", "/")
		}
	}
	return strings.TrimPrefix(out, ".")
}
