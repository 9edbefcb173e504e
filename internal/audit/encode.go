package audit

import (
	"context"
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
		b = k.id(b, d.ID(x, m))
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
