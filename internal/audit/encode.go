package audit

import (
	"strconv"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// encoder writes one decision as the members of a JSON object. It writes no
// parameters and no results: names, sizes, digests and verdicts only.
type encoder struct {
	config string // revision of the configuration that decided
	digest int    // largest params or result whose digest is written; 0 for none
	keep   Content
}

func (e *encoder) members(b []byte, x *guard.Exchange, m *mcp.Message, d *guard.Decision) []byte {
	b = append(b, `"time":"`...)
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
	b = field(b, "config", e.config)
	b = field(b, "server", x.Server.Name)
	b = field(b, "server_version", x.Server.Version)
	b = field(b, "server_owner", x.Server.Owner)
	b = field(b, "server_domain", x.Server.Domain)
	b = field(b, "server_classification", x.Server.Classification)
	b = field(b, "revision", x.Revision.String())
	b = field(b, "http_method", x.Verb)
	b = principal(b, &x.Principal)
	if x.Source.IsValid() {
		b = append(b, `,"source":"`...)
		b = x.Source.AppendTo(b)
		b = append(b, '"')
	}
	if d.Direction == mcp.ToServer && x.Headers != nil {
		b = trace(b, x.Headers)
	}
	if d.Direction == mcp.ToClient && x.Upstream > 0 {
		b = append(b, `,"upstream_status":`...)
		b = strconv.AppendInt(b, int64(x.Upstream), 10)
	}
	if m != nil {
		b = e.message(b, x, m, d)
	}
	b = obligations(b, d.Obligations)
	b = list(b, "labels", x.Labels())
	b = events(b, d.Events)
	b = journal(b, d.Journal)
	b = append(b, `,"took_us":`...)
	return strconv.AppendInt(b, d.Took.Microseconds(), 10)
}

func principal(b []byte, p *guard.Principal) []byte {
	b = field(b, "subject", p.Subject)
	b = field(b, "issuer", p.Issuer)
	b = field(b, "agent", p.Agent)
	b = list(b, "actors", p.Actors)
	b = field(b, "client", p.Client)
	b = field(b, "tenant", p.Tenant)
	b = field(b, "task", p.Task)
	b = field(b, "task_type", p.TaskType)
	b = field(b, "peer", p.Peer)
	if p.IsAnonymous() {
		return b
	}
	if b = list(b, "roles", p.Roles); len(p.Roles) == 0 {
		b = append(b, `,"roles":[]`...) // for a replay, none and not recorded are two things
	}
	b = list(b, "scopes", p.Scopes)
	b = field(b, "strength", p.Strength)
	b = moment(b, "auth_time", p.AuthTime)
	return moment(b, "expires", p.Expires)
}

func (e *encoder) message(b []byte, x *guard.Exchange, m *mcp.Message, d *guard.Decision) []byte {
	b = field(b, "kind", kind(m.Kind))
	b = field(b, "method", x.Topic(m))
	name := m.Name
	if name == "" && m.Direction == mcp.ToClient {
		name = x.Asked.Name
	}
	b = field(b, "name", name)
	b = tool(b, x, m)
	if len(m.ID) > 0 {
		b = append(b, `,"id":`...)
		b = append(b, m.ID...)
	}
	b = append(b, `,"bytes":`...)
	b = strconv.AppendInt(b, int64(len(m.Raw)), 10)
	b = e.kept(b, x, m, d)
	b = digest(b, "params_sha256", m.Params, e.digest)
	b = digest(b, "result_sha256", m.Result, e.digest)
	if d.Edited {
		b = append(b, `,"edited":true`...)
		b = digest(b, "edited_params_sha256", d.Message.Params, e.digest)
		b = digest(b, "edited_result_sha256", d.Message.Result, e.digest)
	}
	return b
}

// obligations writes what the host had to do, without the values.
func obligations(b []byte, all []guard.Obligation) []byte {
	begun := false
	for i := range all {
		o := &all[i]
		var word string
		switch o.Kind {
		case guard.SetHeader:
			word = "set_header:"
		case guard.RetryAfter:
			word = "retry_after"
		case guard.Challenge:
			word = "challenge"
		case guard.Constrain:
			word = "constrain"
		case guard.ResponseHeader:
			word = "response_header:"
		default: // labels stand under labels, and events under events
			continue
		}
		if !begun {
			b, begun = append(b, `,"obligations":[`...), true
		} else {
			b = append(b, ',')
		}
		b = append(append(b, '"'), word...)
		if o.Kind == guard.SetHeader || o.Kind == guard.ResponseHeader {
			b = append(b, o.Name...) // the chain has checked that it is a token
		}
		b = append(b, '"')
	}
	if begun {
		b = append(b, ']')
	}
	return b
}

// events writes what people should learn of, whatever was decided.
func events(b []byte, all []guard.Event) []byte {
	for i := range all {
		if i == 0 {
			b = append(b, `,"events":[`...)
		} else {
			b = append(b, ',')
		}
		b = append(b, `{"kind":"`...)
		b = append(b, all[i].Kind...) // the chain has checked it
		b = append(b, `","guard":"`...)
		b = append(b, all[i].Guard...)
		b = append(b, '"')
		b = field(b, "detail", all[i].Detail)
		b = append(b, '}')
	}
	if len(all) > 0 {
		b = append(b, ']')
	}
	return b
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
		if e.Labels > 0 {
			b = append(b, `,"labels_seen":`...)
			b = strconv.AppendInt(b, int64(e.Labels), 10)
		}
		b = measures(b, e.Measures)
		b = append(b, `,"took_us":`...)
		b = strconv.AppendInt(b, e.Took.Microseconds(), 10)
		b = append(b, '}')
	}
	return append(b, ']')
}

func measures(b []byte, all []guard.Measure) []byte {
	for i := range all {
		if i == 0 {
			b = append(b, `,"measures":{"`...)
		} else {
			b = append(b, `,"`...)
		}
		b = append(b, all[i].Name...) // the chain has checked it
		b = append(b, `":`...)
		b = strconv.AppendInt(b, all[i].Value, 10)
	}
	if len(all) > 0 {
		b = append(b, '}')
	}
	return b
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
