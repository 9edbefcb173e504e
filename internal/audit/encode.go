package audit

import (
	"strconv"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// appendReceipt writes one decision as a JSON line. It holds no parameters and
// no results: names, sizes and verdicts only.
func appendReceipt(b []byte, x *guard.Exchange, m *mcp.Message, d *guard.Decision) []byte {
	b = append(b, `{"time":"`...)
	b = d.At.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","exchange":"`...)
	b = append(b, x.ID...)
	b = append(b, `","direction":"`...)
	b = append(b, d.Direction.String()...)
	b = append(b, `","action":"`...)
	b = append(b, d.Action.String()...)
	b = append(b, '"')
	b = field(b, "reason", string(d.Reason))
	b = field(b, "guard", d.Guard)
	b = field(b, "detail", d.Detail)
	b = field(b, "policy", d.Policy)
	b = field(b, "server", x.Server.Name)
	b = field(b, "revision", x.Revision.String())
	b = field(b, "http_method", x.Verb)
	p := &x.Principal
	b = field(b, "subject", p.Subject)
	b = field(b, "issuer", p.Issuer)
	b = field(b, "agent", p.Agent)
	b = field(b, "client", p.Client)
	b = field(b, "tenant", p.Tenant)
	b = field(b, "task", p.Task)
	b = field(b, "peer", p.Peer)
	if x.Source.IsValid() {
		b = append(b, `,"source":"`...)
		b = x.Source.AppendTo(b)
		b = append(b, '"')
	}
	if m != nil {
		b = field(b, "kind", kind(m.Kind))
		b = field(b, "method", x.Topic(m))
		name := m.Name
		if name == "" && m.Direction == mcp.ToClient {
			name = x.Asked.Name
		}
		b = field(b, "name", name)
		if len(m.ID) > 0 {
			b = append(b, `,"id":`...)
			b = append(b, m.ID...)
		}
		b = append(b, `,"bytes":`...)
		b = strconv.AppendInt(b, int64(len(m.Raw)), 10)
	}
	if d.Edited {
		b = append(b, `,"edited":true`...)
	}
	if labels := x.Labels(); len(labels) > 0 {
		b = append(b, `,"labels":[`...)
		for i, l := range labels {
			if i > 0 {
				b = append(b, ',')
			}
			b = mcp.AppendQuote(b, l)
		}
		b = append(b, ']')
	}
	b = journal(b, d.Journal)
	b = append(b, `,"took_us":`...)
	b = strconv.AppendInt(b, d.Took.Microseconds(), 10)
	return append(b, "}\n"...)
}

func journal(b []byte, entries []guard.Entry) []byte {
	b = append(b, `,"guards":[`...)
	for i := range entries {
		e := &entries[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"name":"`...)
		b = append(b, e.Guard...)
		b = append(b, `","action":"`...)
		b = append(b, e.Action.String()...)
		b = append(b, '"')
		if e.Mode != guard.Enforce {
			b = field(b, "mode", e.Mode.String())
		}
		b = field(b, "reason", string(e.Reason))
		b = field(b, "detail", e.Detail)
		if e.Err != nil {
			b = field(b, "error", e.Err.Error())
		}
		b = append(b, '}')
	}
	return append(b, ']')
}

func field(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, `":`...)
	return mcp.AppendQuote(b, value)
}

func kind(k mcp.Kind) string {
	switch k {
	case mcp.Request:
		return "request"
	case mcp.Notification:
		return "notification"
	case mcp.Response:
		return "response"
	case mcp.Failure:
		return "error"
	case mcp.Transport:
		return "transport"
	}
	return ""
}
