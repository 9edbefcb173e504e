package decisionlog

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/mcp"
)

func encodeLabels(labels map[string]string) ([]byte, error) {
	b, err := json.Marshal(labels)
	if err != nil {
		return nil, fmt.Errorf("decisionlog: labels: %w", err)
	}
	return b, nil
}

// Observe takes a decision that a policy made about a message as a whole.
func (l *Log) Observe(_ context.Context, x *guard.Exchange, m *mcp.Message, d *guard.Decision) error {
	if m == nil || m.Method == "" {
		return nil
	}
	for i := range d.Journal {
		if e := &d.Journal[i]; e.Guard == "policy" {
			if b := l.event(x, m, d, e); b != nil {
				l.add(b)
			}
		}
	}
	return nil
}

// event is one decision in the form of OPA's decision logs.
func (l *Log) event(x *guard.Exchange, m *mcp.Message, d *guard.Decision, e *guard.Entry) []byte {
	t, err := policy.TargetOf(m)
	said, ok := policy.Read(e.Action, e.Reason, e.Detail)
	if err != nil || !ok && e.Err == nil {
		return nil // no policy was asked
	}
	whole, shown := d.Target(x, m)
	if whole != shown {
		t.Name = shown
	}
	in := policy.Input{
		Principal: &x.Principal, Server: &x.Server, Method: m.Method, Direction: m.Direction, Kind: m.Kind, Target: t,
		Revision: x.Revision, Source: x.Source.Addr().Unmap(), Labels: x.Labels()[:min(e.Labels, len(x.Labels()))], Time: d.At,
	}
	if l.Arguments {
		in.Params = m.Params
	}
	b := make([]byte, 0, 1024+len(in.Params)*2)
	b = append(b, `{"labels":`...)
	b = append(b, l.labels...)
	b = append(b, `,"decision_id":"`...)
	b = append(b, x.ID...)
	b = append(b, '-')
	b = strconv.AppendInt(b, d.At.UnixNano(), 36)
	b = append(b, `","bundles":{"sallyport":{"revision":`...)
	b = mcp.AppendQuote(b, d.Policy)
	b = append(b, `}},"path":"sallyport/`...)
	b = append(b, orCall(said.Step)...)
	b = append(b, `","input":`...)
	b = in.AppendJSON(b)
	if e.Err != nil {
		b = append(b, `,"error":{"message":`...)
		b = mcp.AppendQuote(b, e.Err.Error())
		b = append(b, '}')
	} else {
		b = append(b, `,"result":{"allow":`...)
		b = strconv.AppendBool(b, said.Allow)
		if !said.Allow {
			b = append(b, `,"reason":`...)
			b = mcp.AppendQuote(b, string(said.Reason))
		}
		b = append(b, '}')
	}
	if !l.Arguments && m.Params != nil {
		b = append(b, `,"erased":["/input/arguments","/input/params"]`...)
	}
	if whole != shown {
		b = append(b, `,"masked":["/input/target/name"]`...)
	}
	if x.Source.IsValid() {
		b = append(b, `,"requested_by":"`...)
		b = x.Source.AppendTo(b)
		b = append(b, '"')
	}
	b = append(b, `,"timestamp":"`...)
	b = d.At.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","metrics":{"timer_rego_query_eval_ns":`...)
	b = strconv.AppendInt(b, e.Took.Nanoseconds(), 10)
	return append(b, "}}"...)
}

func orCall(step string) string {
	if step == "" {
		return policy.Call.String()
	}
	return step
}
