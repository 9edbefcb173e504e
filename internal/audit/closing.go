package audit

import (
	"context"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// End is how an exchange ended, in the one word that its closing receipt has.
type End string

// The ends. docs/receipts.md says what each means.
const (
	Answered       End = "answered"
	ServerClosed   End = "server_closed"
	ServerFailed   End = "server_failed"
	ClientLeft     End = "client_left"
	BrokenOff      End = "broken_off"
	TokenExpired   End = "token_expired"
	Revoked        End = "revoked"
	Refused        End = "refused"
	TimedOut       End = "timed_out"
	GatewayStopped End = "gateway_stopped"
	GatewayFailed  End = "gateway_failed"
)

// Ends returns all of them.
func Ends() []End {
	return []End{Answered, ServerClosed, ServerFailed, ClientLeft, BrokenOff, TokenExpired, Revoked, Refused, TimedOut, GatewayStopped, GatewayFailed}
}

// EndOf says how x ended, if that is worth a receipt of its own: where its message
// was let go, and no receipt of a message says what became of it. An answer that was
// judged whole does; the events of a stream do not.
func EndOf(x *guard.Exchange, o *guard.Outcome) (end End, due bool) {
	if !x.Open() {
		return "", false
	}
	switch o.Ending {
	case guard.Completed:
		if x.Out != nil && x.Out.Scheme == "https" || x.Stream && o.Reply.Kind == 0 {
			return ServerClosed, true
		}
		return Answered, true
	case guard.Refused, guard.Reset:
		switch o.Reason {
		case guard.GatewayStopping:
			return GatewayStopped, true
		case guard.IdentityExpired:
			return TokenExpired, true
		case guard.IdentityRevoked:
			return Revoked, true
		case guard.UpstreamBadReply, guard.UpstreamTooLarge, guard.UpstreamTimeout, guard.UpstreamUnavailable:
			return ServerFailed, true
		}
		switch {
		case o.Ending == guard.Refused:
			return Refused, true
		case o.Status > 0: // the server had begun to answer
			return BrokenOff, true
		}
		return ClientLeft, true
	case guard.TimedOut:
		return TimedOut, true
	case guard.Left:
		return ClientLeft, true
	case guard.Failed:
		return ServerFailed, true
	}
	return GatewayFailed, true
}

// Ended keeps the closing receipt of an exchange that is due one. It implements
// guard.Witness: nothing waits for it, and one that cannot be kept is counted as lost.
func (u *under[K]) Ended(ctx context.Context, x *guard.Exchange, o *guard.Outcome) {
	if end, due := EndOf(x, o); due {
		u.keeper.closed(ctx, &u.encoder, x, o, end)
	}
}

// closing writes what is known of an exchange at its end, as the members of a JSON
// object. It repeats of its first receipt what questions are asked by.
func (e *encoder) closing(ctx context.Context, b []byte, x *guard.Exchange, o *guard.Outcome, end End) ([]byte, error) {
	at := x.Started.Add(o.Elapsed)
	none := &guard.Decision{At: at, Direction: mcp.ToClient}
	k, err := e.Sealing.seals(ctx, x, nil, none)
	if err != nil {
		return b, err
	}
	k.at.Direction = "" // it is of no message
	b = append(b, `"time":"`...)
	b = at.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","exchange":"`...)
	b = append(b, x.ID...)
	b = append(b, `","closed":"`...)
	b = append(append(b, end...), '"')
	b = field(b, "reason", string(o.Reason))
	b = field(b, "config", e.Config)
	b = field(b, "server", x.Server.Name)
	b = field(b, "server_version", x.Server.Version)
	b = field(b, "revision", x.Revision.String())
	b = field(b, "http_method", x.Verb)
	who := e.Sealing != nil && e.Sealing.Subjects
	b = caller(b, &x.Principal, &k, who)
	if x.Source.IsValid() && !who {
		b = append(b, `,"source":"`...)
		b = x.Source.AppendTo(b)
		b = append(b, '"')
	}
	b = trace(b, x, none)
	b = outbound(b, x.Out)
	b = field(b, "method", k.hide(x.Asked.Method))
	if shown := x.Asked.InClear(); x.Asked.Name != "" {
		if b = field(b, "name", k.hide(shown)); shown != x.Asked.Name {
			b = field(b, "name_hmac", e.digestOf(x.Principal.Tenant, x.Asked.Name))
		}
	}
	if x.Upstream > 0 {
		b = append(b, `,"upstream_status":`...)
		b = strconv.AppendInt(b, int64(x.Upstream), 10)
	}
	if x.Stream {
		b = append(b, `,"stream":true`...)
	}
	number := func(name string, n int64) {
		b = append(append(append(b, ',', '"'), name...), `":`...)
		b = strconv.AppendInt(b, n, 10)
	}
	number("bytes_to_server", o.BytesIn)
	number("bytes_to_client", o.BytesOut)
	if x.Out == nil { // what flows through an egress listener are no messages
		number("messages_to_server", o.In)
		number("messages_to_client", o.Out)
	}
	if b, err = e.Sealing.sealed(b, &k, x, nil, none); err != nil {
		return b, err
	}
	number("lasted_us", o.Elapsed.Microseconds())
	return b, nil
}

// caller writes who called as far as receipts are asked for by that.
func caller(b []byte, p *guard.Principal, k *seals, sealed bool) []byte {
	if sealed {
		b = field(b, "pseudonym", k.pseudonym)
	} else {
		b = field(b, "subject", p.Subject)
	}
	b = field(b, "issuer", p.Issuer)
	b = field(b, "agent", k.hide(p.Agent))
	b = field(b, "client", k.hide(p.Client))
	b = field(b, "tenant", p.Tenant)
	b = field(b, "task", k.hide(p.Task))
	if !sealed || !personal(p.Peer) {
		b = field(b, "peer", k.hide(p.Peer))
	}
	return b
}
