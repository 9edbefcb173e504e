package telemetry

import (
	"strings"

	"go.opentelemetry.io/otel/attribute"

	"github.com/sallyport/sallyport/guard"
)

// Label is something that operations are broken down by only where an operator
// asks for it, because it may have very many values.
type Label string

// The labels, in the words of telemetry_configuration.metrics.
const (
	Tenant         Label = "tenant_id"
	AgentRole      Label = "agent_role"
	Server         Label = "mcp_server"
	Classification Label = "data_classification"
	Agent          Label = "agent"
	Subject        Label = "subject"
	Tool           Label = "tool"
)

// labels are all of them, in the order of values.
var labels = [...]Label{Tenant, AgentRole, Server, Classification, Agent, Subject, Tool}

// values are the values of the labels that are asked for, and "" for the others.
type values [len(labels)]string

const (
	other    = "other" // of a value that has no room, or that only the client vouches for
	maxValue = 128     // bytes of one
)

type named struct{ server, tool string }

// breakdown is what one configuration breaks operations down by.
type breakdown struct {
	wanted [len(labels)]bool
	any    bool
	limit  int
}

func newBreakdown(wanted []Label, limit int) breakdown {
	b := breakdown{limit: limit}
	for i, l := range labels {
		for _, w := range wanted {
			if w == l {
				b.wanted[i], b.any = true, true
			}
		}
	}
	return b
}

// of returns the values for an exchange. Beyond the limit of distinct ones all of
// them are "other".
func (m *Metrics) of(b *breakdown, x *guard.Exchange, answered bool) *values {
	if !b.any {
		return nil
	}
	var v values
	for i, l := range labels {
		if b.wanted[i] {
			v[i] = m.value(b, l, x, answered)
		}
	}
	if known := m.seen.get(v, b.limit, keep); known != nil {
		return known
	}
	for i := range v {
		if b.wanted[i] {
			v[i] = other
		}
	}
	return m.beyond.get(v, 0, keep)
}

func keep(v values) *values { return &v }

func (m *Metrics) value(b *breakdown, l Label, x *guard.Exchange, answered bool) string {
	var s string
	switch p := &x.Principal; l {
	case Tenant:
		s = p.Tenant
	case AgentRole:
		s = strings.Join(p.Roles, ",")
	case Server:
		s = x.Server.Name
	case Classification:
		if s = x.Server.Classification; x.Asked.Method == "tools/call" {
			if t, ok := x.Server.Tool(x.Asked.Name); ok && t.Classification != "" {
				s = t.Classification
			}
		}
	case Agent:
		s = p.Agent
	case Subject:
		s = p.Subject
	case Tool:
		if x.Asked.Method == "tools/call" {
			s = m.tool(b, x, answered)
		}
	}
	if s == "" {
		return "none"
	}
	if len(s) > maxValue {
		return other
	}
	return strings.ToValidUTF8(s, "?")
}

// tool returns the name of the tool that was called, if somebody but the client
// knows it: the registry, or the server, which has answered a call of it.
func (m *Metrics) tool(b *breakdown, x *guard.Exchange, answered bool) string {
	if _, ok := x.Server.Tools[x.Asked.Name]; ok && x.Asked.Name != "*" {
		return x.Asked.Name
	}
	k := named{x.Server.Name, x.Asked.Name}
	if _, ok := m.tools.all()[k]; ok {
		return x.Asked.Name
	}
	if answered && m.tools.get(k, b.limit, func(named) *struct{} { return new(struct{}) }) != nil {
		return x.Asked.Name
	}
	return other
}

// attributes returns what v adds to the attributes of an operation.
func (v *values) attributes() []attribute.KeyValue {
	if v == nil {
		return nil
	}
	var out []attribute.KeyValue
	for i := range v {
		if v[i] != "" {
			out = append(out, attribute.String(string(labels[i]), v[i]))
		}
	}
	return out
}
