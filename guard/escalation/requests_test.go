package escalation_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/escalation"
)

// requests bring a server what a client fills in, without being calls.
var requests = map[string]string{
	"a completion of a prompt's argument":    `"completion/complete","params":{"ref":{"type":"ref/prompt","name":"brief"},"argument":{"name":"a","value":"the whole contract"}%s}}`,
	"a completion of a template's variable":  `"completion/complete","params":{"ref":{"type":"ref/resource","uri":"bank://{account}"},"argument":{"name":"account","value":"DE89370400440532013000"}%s}}`,
	"a completion with its context":          `"completion/complete","params":{"ref":{"type":"ref/prompt","name":"brief"},"argument":{"name":"a","value":"x"},"context":{"arguments":{"b":"the whole contract"}}%s}}`,
	"a prompt with arguments":                `"prompts/get","params":{"name":"brief","arguments":{"a":"the whole contract"}%s}}`,
	"a resource whose URI says something":    `"resources/read","params":{"uri":"bank://the-whole-contract"%s}}`,
	"a subscription to what says it as well": `"resources/subscribe","params":{"uri":"bank://the-whole-contract"%s}}`,
}

// An agent that may not call a tool without approval can send the same text to the same
// server as the beginning of a word that is to be completed. What a policy says of the
// call it can say of the completion, and is heard.
func TestAPolicysLabelsCountForWhatIsNoCall(t *testing.T) {
	for name, raw := range requests {
		raw = `{"jsonrpc":"2.0","id":1,"method":` + raw
		for _, c := range []struct {
			set    func(*escalation.Config)
			meta   string
			labels []string
			want   string
		}{
			{nil, "", nil, ""},
			{nil, "", []string{"escalate"}, "held"},
			{func(c *escalation.Config) { c.Labels.Approve = []string{"anomaly:*"} }, "", []string{"anomaly:rate"}, "held"},
			{nil, "", []string{"write", "financial"}, "held"},
			{nil, "", []string{"write", "external"}, "watched"},
			{func(c *escalation.Config) { c.HumanInLoop = "hold" }, "", []string{"write", "external"}, "held"},
			{nil, "", []string{"external"}, ""}, // it reads
			{nil, `,"_meta":{"confidence":0.1}`, nil, ""},
			{nil, `,"_meta":{"confidence":0.1}`, []string{"write"}, "held"},
			{func(c *escalation.Config) { c.Threshold = "all" }, `,"_meta":{"confidence":0.1}`, nil, "held"},
			{func(c *escalation.Config) { c.Threshold, c.Undeclared = "all", "escalate" }, "", nil, "held"},
		} {
			d := send(t, build(t, guide, c.set), tools, fmt.Sprintf(raw, c.meta), c.labels...)
			got := ""
			switch {
			case d.Action == guard.Hold && d.Ticket != nil && strings.HasPrefix(d.Hint, "A person has to approve this request, because "):
				got = "held"
			case d.Action == guard.Allow && len(d.Events) == 1 && d.Events[0].Kind == "human_in_loop":
				got = "watched"
			case d.Action != guard.Allow || len(d.Events) != 0:
				got = d.Action.String() + " " + d.Detail
			}
			if got != c.want {
				t.Errorf("%s, %v %s: %q, want %q: %s", name, c.labels, c.meta, got, c.want, d.Detail)
			}
		}
	}
}

// What is approved is this text, and no other.
func TestATicketIsForOneCompletion(t *testing.T) {
	g := build(t, guide, nil)
	one := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":`+requests["a completion of a prompt's argument"], "")
	first := send(t, g, tools, one, "escalate")
	same, other := send(t, g, tools, one, "escalate"), send(t, g, tools, strings.Replace(one, "contract", "payroll", 1), "escalate")
	if first.Ticket == nil || same.Ticket == nil || other.Ticket == nil || first.Ticket.ID != same.Ticket.ID || first.Ticket.ID == other.Ticket.ID {
		t.Errorf("%v, %v, %v", first.Ticket, same.Ticket, other.Ticket)
	}
}
