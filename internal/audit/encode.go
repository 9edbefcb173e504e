package audit

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// Form says what the receipts of one configuration hold beside names, sizes and
// verdicts.
type Form struct {
	Config  string // revision of the configuration that decided
	Digest  int    // largest params or result whose digest is written; 0 for none
	Keep    Content
	Sealing *Sealing // nil: nothing is sealed
	Names   []byte   // key of the digests of names that are not in clear as a whole
	Must    bool     // a receipt that cannot be kept is an error, whatever WhenFull says
}

// rule is what becomes of a message whose receipt cannot be kept.
func (f *Form) rule(r WhenFull) WhenFull {
	if f.Must {
		return Block
	}
	return r
}

// encoder writes one decision as the members of a JSON object.
type encoder struct{ Form }

func (e *encoder) members(ctx context.Context, b []byte, x *guard.Exchange, m *mcp.Message, d *guard.Decision) ([]byte, error) {
	k, err := e.Sealing.seals(ctx, x, m, d)
	if err != nil {
		return b, err
	}
	b = begin(b, x, d.At)
	b = append(b, `,"direction":"`...)
	b = append(b, d.Direction.String()...)
	b = append(b, `","action":"`...)
	b = append(b, d.Action.String()...)
	b = append(b, '"')
	b = field(b, "reason", string(d.Reason))
	b = field(b, "guard", d.Guard)
	b = field(b, "detail", k.hide(d.Detail))
	b = field(b, "policy", d.Policy)
	b = field(b, "config", e.Config)
	b = field(b, "server", x.Server.Name)
	b = field(b, "server_version", x.Server.Version)
	b = field(b, "server_owner", x.Server.Owner)
	b = field(b, "server_domain", x.Server.Domain)
	b = field(b, "server_classification", x.Server.Classification)
	b = field(b, "server_clearance", x.Server.Clearance)
	b = field(b, "revision", x.Revision.String())
	b = field(b, "http_method", x.Verb)
	b = e.who(b, x, &k, true)
	b = trace(b, x, d)
	switch {
	case d.Direction == mcp.ToClient:
		b = upstream(b, x)
	case x.Unseen && d.Action == guard.Allow:
		b = append(b, `,"unseen":true`...)
	}
	b = outbound(b, x.Out)
	if m != nil {
		b = e.message(b, &k, x, m, d)
	}
	b = obligations(b, d.Obligations)
	b = list(b, "labels", x.Labels())
	b = sources(b, d.Sources)
	if b = list(b, "values", d.Values); d.ValuesCut {
		b = append(b, `,"values_cut":true`...)
	}
	b = events(b, &k, d.Events)
	b = journal(b, &k, d.Journal)
	if b, err = e.Sealing.sealed(b, &k, x, m, d); err != nil {
		return b, err
	}
	return number(b, "took_us", d.Took.Microseconds()), nil
}

// begin writes when what happened to an exchange.
func begin(b []byte, x *guard.Exchange, at time.Time) []byte {
	b = append(b, `"time":"`...)
	b = at.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","exchange":"`...)
	return append(append(b, x.ID...), '"')
}

// who writes who called, and from where: all that is known or, without whole, what
// receipts are asked for by. Where subjects are sealed, people are not named.
func (e *encoder) who(b []byte, x *guard.Exchange, k *seals, whole bool) []byte {
	sealed := e.Sealing != nil && e.Sealing.Subjects
	b = principal(b, &x.Principal, k, sealed, whole)
	if x.Source.IsValid() && !sealed {
		b = append(b, `,"source":"`...)
		b = append(x.Source.AppendTo(b), '"')
	}
	return b
}

func principal(b []byte, p *guard.Principal, k *seals, sealed, whole bool) []byte {
	if sealed {
		b = field(b, "pseudonym", k.pseudonym)
	} else {
		b = field(b, "subject", p.Subject)
	}
	b = field(b, "issuer", p.Issuer)
	b = field(b, "agent", k.hide(p.Agent))
	if whole {
		b = list(b, "actors", k.hideAll(p.Actors))
	}
	b = field(b, "client", k.hide(p.Client))
	b = field(b, "tenant", p.Tenant)
	b = field(b, "task", k.hide(p.Task))
	if whole {
		b = field(b, "task_type", p.TaskType)
	}
	if !sealed || !personal(p.Peer) {
		b = field(b, "peer", k.hide(p.Peer))
	}
	if !whole || p.IsAnonymous() {
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

func (e *encoder) message(b []byte, k *seals, x *guard.Exchange, m *mcp.Message, d *guard.Decision) []byte {
	b = field(b, "kind", kind(m.Kind))
	b = field(b, "method", k.hide(x.Topic(m)))
	if m.Name != "" || m.Direction == mcp.ToClient {
		whole, shown := d.Target(x, m)
		b = e.name(b, k, x.Principal.Tenant, whole, shown)
	}
	b = tool(b, x, m)
	if len(m.ID) > 0 {
		b = append(b, `,"id":`...)
		b = k.id(b, m.ID)
	}
	b = number(b, "bytes", int64(len(m.Raw)))
	b = e.kept(b, x, m, d)
	b = digest(b, "params_sha256", m.Params, e.Digest)
	b = digest(b, "result_sha256", m.Result, e.Digest)
	if d.Edited {
		b = append(b, `,"edited":true`...)
		b = digest(b, "edited_params_sha256", d.Message.Params, e.Digest)
		b = digest(b, "edited_result_sha256", d.Message.Result, e.Digest)
	}
	return b
}

// name writes what of a name may be shown, and of the whole a digest.
func (e *encoder) name(b []byte, k *seals, tenant, whole, shown string) []byte {
	if b = field(b, "name", k.hide(shown)); shown != whole {
		b = field(b, "name_hmac", e.digestOf(tenant, whole))
	}
	return b
}

// upstream writes how the server answers.
func upstream(b []byte, x *guard.Exchange) []byte {
	if x.Upstream > 0 {
		b = number(b, "upstream_status", int64(x.Upstream))
	}
	if x.Stream {
		b = append(b, `,"stream":true`...)
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

// sources writes which earlier exchanges the labels are from, each once.
func sources(b []byte, all []guard.Source) []byte {
	for i := range all {
		s := &all[i]
		same := func(o guard.Source) bool { return o.Exchange == s.Exchange && o.Server == s.Server }
		if slices.ContainsFunc(all[:i], same) {
			continue
		}
		if i == 0 {
			b = append(b, `,"sources":[`...)
		} else {
			b = append(b, ',')
		}
		b = text(append(b, `{"exchange":`...), s.Exchange)
		b = field(b, "server", s.Server)
		var labels []string
		for _, o := range all[i:] {
			if same(o) {
				labels = append(labels, o.Label)
			}
		}
		b = append(list(b, "labels", labels), '}')
	}
	if len(all) > 0 {
		b = append(b, ']')
	}
	return b
}

// events writes what people should learn of, whatever was decided.
func events(b []byte, k *seals, all []guard.Event) []byte {
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
		b = field(b, "detail", k.hide(all[i].Detail))
		b = append(b, '}')
	}
	if len(all) > 0 {
		b = append(b, ']')
	}
	return b
}

func journal(b []byte, k *seals, entries []guard.Entry) []byte {
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
		b = field(b, "detail", k.hide(e.Detail))
		if e.Err != nil {
			b = field(b, "error", k.hide(e.Err.Error()))
		}
		if e.Labels > 0 {
			b = number(b, "labels_seen", int64(e.Labels))
		}
		b = measures(b, e.Measures)
		b = append(number(b, "took_us", e.Took.Microseconds()), '}')
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
