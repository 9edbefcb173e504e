package policy

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sallyport/sallyport/guard"
	guardpolicy "github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/mcp"
	"github.com/sallyport/sallyport/policies"
)

// witness allows everything, and notes what it was asked in the words of the
// documented input.
type witness struct{ asked [][]byte }

func (w *witness) Decide(_ context.Context, _ guardpolicy.Step, in *guardpolicy.Input) (*guardpolicy.Decision, error) {
	w.asked = append(w.asked, in.AppendJSON(nil))
	return &guardpolicy.Decision{Allow: true}, nil
}
func (*witness) Masks() bool      { return false }
func (*witness) Revision() string { return "witness" }

// TestEveryMethodOfEveryRevisionIsAskedAboutInTheDocumentedWords sends each
// method that a revision has, in each direction in which it has it.
func TestEveryMethodOfEveryRevisionIsAskedAboutInTheDocumentedWords(t *testing.T) {
	schema, err := policies.InputSchema()
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("input.json", schema); err != nil {
		t.Fatal(err)
	}
	valid, err := c.Compile("input.json")
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	ask := func(rev mcp.Revision, dir mcp.Direction, method, text string) {
		t.Helper()
		w := &witness{}
		m, f := mcp.NewDecoder(mcp.Config{}).Decode(dir, []byte(text))
		if f != nil {
			t.Fatalf("%s: %v", text, f)
		}
		x := &guard.Exchange{
			ID: "x", Revision: rev, Principal: who["clerk"], Source: netip.MustParseAddrPort("192.0.2.1:5000"),
			Server: guard.Server{Name: "crm", Owner: "o", Domain: "d", Classification: "internal", Tools: map[string]guard.Tool{"*": {Risk: "low", External: true}}},
			Asked:  guard.Asked{Kind: mcp.Request, ID: []byte("7"), Method: "tools/call", Name: "t"},
		}
		if dir == mcp.ToServer {
			x.Asked = guard.Asked{Kind: m.Kind, ID: m.ID, Method: m.Method, Name: m.Name}
		}
		if d := chain(t, w).Run(context.Background(), x, &m); d.Action != guard.Allow {
			t.Errorf("%v %v %s: %s %s (%s)", rev, dir, method, d.Action, d.Reason, d.Detail)
		}
		for _, in := range w.asked {
			v, err := jsonschema.UnmarshalJSON(bytes.NewReader(in))
			if err == nil {
				err = valid.Validate(v)
			}
			if err != nil {
				t.Errorf("%v %v %s: %v\n%s", rev, dir, method, err, in)
			}
			if doc, ok := v.(map[string]any); ok && doc["method"] == method && doc["direction"] == dir.String() && doc["revision"] == rev.String() {
				asked++
				method = "" // seen
			}
		}
		if method != "" {
			t.Errorf("%v %v %s: nobody asked about it", rev, dir, method)
		}
	}
	params := map[mcp.Target]string{
		mcp.TargetTool: `"name":"t","arguments":{"a":1}`, mcp.TargetPrompt: `"name":"p"`, mcp.TargetURI: `"uri":"crm://a"`, mcp.TargetTask: `"taskId":"k"`,
		mcp.TargetRef: `"ref":{"type":"ref/resource","uri":"crm://{a}"},"argument":{"name":"a","value":"b"}`,
	}
	for _, rev := range []mcp.Revision{mcp.R20250326, mcp.R20250618, mcp.R20251125, mcp.R20260728} {
		for _, m := range mcp.Methods() {
			for _, dir := range []mcp.Direction{mcp.ToServer, mcp.ToClient} {
				if !m.Allows(dir, rev) {
					continue
				}
				id := `"id":7,`
				if m.Kind == mcp.Notification {
					id = ""
				}
				ask(rev, dir, m.Name, fmt.Sprintf(`{"jsonrpc":"2.0",%s"method":%q,"params":{%s}}`, id, m.Name, params[m.Target]))
			}
		}
		ask(rev, mcp.ToServer, guard.TopicResponse, `{"jsonrpc":"2.0","id":"s1","result":{"action":"accept","content":{}}}`)
	}
	// What a modern server asks of its client travels inside a result.
	for _, method := range []string{"sampling/createMessage", "elicitation/create", "roots/list"} {
		ask(mcp.R20260728, mcp.ToClient, method, fmt.Sprintf(`{"jsonrpc":"2.0","id":7,"result":{"resultType":"input_required","inputRequests":{"a":{"method":%q,"params":{"message":"m"}}}}}`, method))
	}
	// Resources that a stream of changes is opened for are asked about one by one.
	w := &witness{}
	m, f := mcp.NewDecoder(mcp.Config{}).Decode(mcp.ToServer, []byte(`{"jsonrpc":"2.0","id":7,"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":["crm://a","crm://b"]}}}`))
	if f != nil {
		t.Fatal(f)
	}
	x := &guard.Exchange{ID: "x", Revision: mcp.R20260728, Server: guard.Server{Name: "crm"}, Asked: guard.Asked{Kind: m.Kind, ID: m.ID, Method: m.Method}}
	if d := chain(t, w).Run(context.Background(), x, &m); d.Action != guard.Allow || len(w.asked) != 4 {
		t.Errorf("a subscription to two resources: %v after %d questions", d, len(w.asked))
	}
	t.Logf("%d methods, by revision and direction", asked)
}
