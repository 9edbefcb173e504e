// Package docs_test keeps the documentation true: what it shows is generated,
// compiled or run here.
package docs_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/standard"
)

var update = flag.Bool("update", false, "write the generated pages")

const reasonsHead = `# Reasons

Why a message was refused, as one word. It is the same word in the receipt, in the metric, and in the client's error under
` + "`error.data`" + `. The list is closed: this page is generated from it (` + "`go test ./docs -update`" + `).

*HTTP* is the status when the response has not begun; afterwards the refusal is an event of the stream. *Code* is the
JSON-RPC error code. Clients read *message*, at times a hint, and never more than that: the detail is in the receipt.

## What a refusal looks like

` + "```json" + `
{"jsonrpc":"2.0","id":1,"error":{"code":-31451,"message":"The call names a destination that is not allowed here. Ask for it to be added to the allow-list, or name another.",
 "data":{"reason":"egress_denied","exchange":"03f5a778bd989010d86fb7f4b6093341"}}}
` + "```" + `

` + "`data.hint`" + `, where there is one, says what to do. ` + "`data.exchange`" + ` is the id by which an operator finds the receipt:
` + "`sallyport audit query receipts --exchange 03f5a778bd989010d86fb7f4b6093341`" + `. The session stays usable. SDKs throw it:

| SDK | what is thrown | reason |
| --- | --- | --- |
| Go | ` + "`*jsonrpc.Error`, by `errors.As`" + ` | ` + "`Data`, as JSON" + ` |
| Python | ` + "`MCPError`" + ` | ` + "`e.error.data[\"reason\"]`" + ` |
| TypeScript 1.x, 2.x | ` + "`McpError`, `ProtocolError`" + ` | ` + "`e.data.reason`" + ` |

Refusals by HTTP 401, 403 and 404 may end in an error of the transport instead: [identity.md](identity.md#in-the-five-sdks). What is wrong with a tool's arguments or result
([schema](../guard/schema/README.md)) comes as a result with ` + "`isError`" + `, so that the model reads it; the reason is in its ` + "`_meta`, under `sallyport.dev/refusal`" + `.

`

// reasons returns docs/reasons.md.
func reasons(specs []guard.Spec) string {
	var b strings.Builder
	b.WriteString(reasonsHead)
	section := func(title, text string, list []guard.ReasonInfo) {
		fmt.Fprintf(&b, "## %s\n\n%s\n\n", title, text)
		b.WriteString("| reason | HTTP | code | message | when |\n| --- | --- | --- | --- | --- |\n")
		for _, r := range list {
			fmt.Fprintf(&b, "| `%s` | %d | %d | %s | %s |\n", r.Reason, r.Status, r.Code, cell(r.Text), cell(r.When))
		}
		b.WriteString("\n")
	}
	section("Of the gateway itself", "The decoder, the chain and the way to the server and back.", guard.CoreReasons())
	for _, s := range specs {
		if len(s.Reasons) > 0 {
			section("`"+s.Name+"`", s.Summary, s.Reasons)
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func cell(s string) string {
	return strings.NewReplacer("|", "\\|", "<", "&lt;", "\n", " ").Replace(s)
}

func TestTheListOfReasonsIsUpToDate(t *testing.T) {
	want := reasons(standard.Specs(standard.Ports{}))
	if *update {
		if err := os.WriteFile("reasons.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile("reasons.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != want {
		t.Error("reasons.md is out of date; run go test ./docs -update")
	}
}

func TestEveryReasonSaysWhatHappenedAndWhen(t *testing.T) {
	all := guard.CoreReasons()
	for _, s := range standard.Specs(standard.Ports{}) {
		all = append(all, s.Reasons...)
	}
	seen := make(map[guard.Reason]guard.ReasonInfo)
	for _, r := range all {
		if !strings.HasSuffix(r.Text, ".") || !strings.HasSuffix(r.When, ".") || r.Status < 200 || r.Code == 0 {
			t.Errorf("%s: %+v", r.Reason, r)
		}
		if other, ok := seen[r.Reason]; ok && (other.Text != r.Text || other.Code != r.Code || other.Status != r.Status) {
			t.Errorf("%s means two things", r.Reason)
		}
		seen[r.Reason] = r
	}
}
