package trace

import (
	"slices"
	"strconv"
	"strings"
	"time"

	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/telemetry"
	"github.com/sallyport/sallyport/mcp"
)

// span writes a record by OpenTelemetry's conventions for MCP and generative AI:
// the exchange as a server's span, and each verdict as an event of it.
func (rec *record) span() *tracev1.Span {
	x := &rec.x
	s := &tracev1.Span{
		TraceId: slices.Clone(x.Trace.ID[:]), SpanId: slices.Clone(x.Trace.Span[:]), Name: rec.name(), Kind: tracev1.Span_SPAN_KIND_SERVER,
		StartTimeUnixNano: nano(x.Started), EndTimeUnixNano: nano(rec.ended), Flags: 1,
	}
	if x.Trace.Parent != [8]byte{} {
		s.ParentSpanId = slices.Clone(x.Trace.Parent[:])
	}
	if rec.link.ok {
		s.Links = []*tracev1.Span_Link{{TraceId: slices.Clone(rec.link.trace[:]), SpanId: slices.Clone(rec.link.span[:])}}
	}
	a := make(attributes, 0, 32)
	rec.protocol(&a)
	rec.caller(&a)
	rec.verdict(&a)
	rec.extras(&a)
	s.Attributes = a
	s.Events = rec.events()
	s.DroppedEventsCount = uint32(rec.left)
	switch rec.outcome {
	case telemetry.OK, telemetry.Reset:
	default:
		s.Status = &tracev1.Status{Code: tracev1.Status_STATUS_CODE_ERROR, Message: rec.kind}
	}
	return s
}

func nano(t time.Time) uint64 { return uint64(max(0, t.UnixNano())) }

// name is the method, and what a tool or prompt is called. Methods that the
// protocol does not have, and URIs, are left out: they have too many values.
func (rec *record) name() string {
	a := &rec.x.Asked
	method := rec.method()
	switch a.Method {
	case "":
		return "mcp " + rec.x.Verb
	case "tools/call", "prompts/get":
		if a.Name != "" && len(a.Name) <= 128 {
			return method + " " + strings.ToValidUTF8(a.Name, "\uFFFD")
		}
	}
	return method
}

func (rec *record) method() string {
	m := rec.x.Asked.Method
	if _, ok := mcp.LookupMethod(m); ok || m == mcp.MethodListen || m == mcp.MethodClose {
		return m
	}
	return "extension"
}

func (rec *record) protocol(a *attributes) {
	x := &rec.x
	a.text("mcp.method.name", x.Asked.Method)
	a.text("mcp.protocol.version", x.Revision.String())
	a.text("mcp.session.id", rec.session)
	a.text("jsonrpc.request.id", strings.Trim(string(x.Asked.IDInClear()), `"`))
	switch x.Asked.Method {
	case "tools/call":
		a.text("gen_ai.operation.name", "execute_tool")
		a.text("gen_ai.tool.name", x.Asked.InClear())
	case "prompts/get":
		a.text("gen_ai.prompt.name", x.Asked.InClear())
	case "resources/read", "resources/subscribe", "resources/unsubscribe":
		a.text("mcp.resource.uri", x.Asked.InClear())
	}
	a.text("error.type", rec.kind)
	if rec.out.Reply.Kind == mcp.Failure {
		a.text("rpc.response.status_code", strconv.Itoa(rec.out.Reply.Code))
	}
	a.text("network.transport", "tcp")
	a.text("network.protocol.name", "http")
	if x.Source.IsValid() {
		a.text("client.address", x.Source.Addr().String())
		a.int("client.port", int64(x.Source.Port()))
	}
	if rec.out.Status > 0 {
		a.int("http.response.status_code", int64(rec.out.Status))
	}
}

// caller says who called and what, in the words of the guide.
func (rec *record) caller(a *attributes) {
	x, p := &rec.x, &rec.x.Principal
	a.text("tenant_id", p.Tenant)
	a.text("agent_role", strings.Join(p.Roles, ","))
	a.text("mcp_server", x.Server.Name)
	class := x.Server.Classification
	if t, ok := x.Server.Tool(x.Asked.Name); ok && t.Classification != "" && x.Asked.Method == "tools/call" {
		class = t.Classification
	}
	a.text("data_classification", class)
	a.text("gen_ai.agent.id", p.Agent)
	a.text("sallyport.subject.hash", rec.subject)
	a.text("sallyport.server.version", x.Server.Version)
	a.text("sallyport.exchange.id", x.ID)
}

func (rec *record) verdict(a *attributes) {
	a.text("sallyport.outcome", rec.outcome)
	a.text("sallyport.ending", rec.out.Ending.String())
	if n := len(rec.decisions); n > 0 {
		d := &rec.decisions[n-1]
		for i := range rec.decisions { // the refusal, should there be one
			if rec.decisions[i].action != guard.Allow {
				d = &rec.decisions[i]
				break
			}
		}
		a.text("sallyport.action", d.action.String())
		a.text("sallyport.reason", string(d.reason))
		a.text("sallyport.guard", d.guard)
		a.text("sallyport.policy.revision", d.policy)
	}
	a.texts("sallyport.labels", rec.labels)
	a.int("sallyport.request.bytes", rec.out.BytesIn)
	a.int("sallyport.response.bytes", rec.out.BytesOut)
}

// extras is what telemetry_configuration.traces.ai_spans asks for.
func (rec *record) extras(a *attributes) {
	x := &rec.x
	if rec.show.Hashes {
		a.text("sallyport.arguments.hash", rec.hash)
	}
	if t, ok := x.Server.Tool(x.Asked.Name); ok && rec.show.Tools && x.Asked.Method == "tools/call" {
		a.text("sallyport.tool.risk", t.Risk)
		a.flag("sallyport.tool.sensitive", t.Sensitive)
		a.flag("sallyport.tool.read_only", t.ReadOnly)
		a.flag("sallyport.tool.destructive", t.Destructive)
		a.flag("sallyport.tool.external", t.External)
		a.flag("sallyport.tool.financial", t.Financial)
	}
	if rec.show.Tools {
		a.text("sallyport.server.owner", x.Server.Owner)
		a.text("sallyport.server.domain", x.Server.Domain)
	}
	if rec.show.Tokens && rec.usage.Tokens > 0 {
		a.int("gen_ai.usage.total_tokens", rec.usage.Tokens)
	}
	if rec.show.Cost && rec.usage.Cost > 0 {
		a.float("sallyport.cost.usd", float64(rec.usage.Cost)/1e6)
	}
	if !rec.show.Latencies {
		return
	}
	var guards time.Duration
	var asked, replied time.Time
	for i := range rec.decisions {
		d := &rec.decisions[i]
		guards += d.took
		switch {
		case d.direction == mcp.ToServer:
			asked = d.at.Add(d.took)
		case replied.IsZero():
			replied = d.at
		}
	}
	a.float("sallyport.guards.duration", guards.Seconds())
	if rec.out.Reached && !asked.IsZero() && replied.After(asked) {
		a.float("sallyport.server.duration", replied.Sub(asked).Seconds())
	}
}

// events are the verdicts of each guard, and the decisions they lead to, when they
// were given.
func (rec *record) events() []*tracev1.Span_Event {
	out := make([]*tracev1.Span_Event, 0, len(rec.entries)+len(rec.decisions))
	for i := range rec.decisions {
		d := &rec.decisions[i]
		at := d.at
		for j := d.first; j < d.last; j++ {
			e := &rec.entries[j]
			at = at.Add(e.Took)
			a := make(attributes, 0, 7)
			a.text("sallyport.guard", e.Guard)
			a.text("sallyport.action", e.Action.String())
			a.text("sallyport.reason", string(e.Reason))
			a.text("sallyport.direction", d.direction.String())
			if e.Mode != guard.Enforce {
				a.text("sallyport.mode", e.Mode.String())
			}
			if e.Err != nil {
				a.flag("sallyport.failed", true)
			}
			a.float("sallyport.duration", e.Took.Seconds())
			out = append(out, &tracev1.Span_Event{Name: "guard", TimeUnixNano: nano(at), Attributes: a})
		}
		for _, e := range d.events {
			var a attributes
			a.text("sallyport.guard", e.Guard)
			a.text("sallyport.event", e.Kind)
			out = append(out, &tracev1.Span_Event{Name: "event", TimeUnixNano: nano(d.at.Add(d.took)), Attributes: a})
		}
		a := make(attributes, 0, 6)
		a.text("sallyport.action", d.action.String())
		a.text("sallyport.reason", string(d.reason))
		a.text("sallyport.guard", d.guard)
		a.text("sallyport.direction", d.direction.String())
		a.flag("sallyport.edited", d.edited)
		a.float("sallyport.duration", d.took.Seconds())
		out = append(out, &tracev1.Span_Event{Name: "decision", TimeUnixNano: nano(d.at.Add(d.took)), Attributes: a})
	}
	return out
}
