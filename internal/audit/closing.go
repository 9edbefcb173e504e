package audit

import (
	"context"
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
	b = begin(b, x, at)
	b = append(b, `,"closed":"`...)
	b = append(append(b, end...), '"')
	b = field(b, "reason", string(o.Reason))
	b = field(b, "config", e.Config)
	b = field(b, "server", x.Server.Name)
	b = field(b, "server_version", x.Server.Version)
	b = field(b, "revision", x.Revision.String())
	b = field(b, "http_method", x.Verb)
	b = e.who(b, x, &k, false)
	b = trace(b, x, none)
	b = outbound(b, x.Out)
	b = field(b, "method", k.hide(x.Asked.Method))
	if x.Asked.Name != "" {
		b = e.name(b, &k, x.Principal.Tenant, x.Asked.Name, x.Asked.InClear())
	}
	b = upstream(b, x)
	b = number(b, "bytes_to_server", o.BytesIn)
	b = number(b, "bytes_to_client", o.BytesOut)
	if x.Out == nil { // what flows through an egress listener are no messages
		b = number(b, "messages_to_server", o.In)
		b = number(b, "messages_to_client", o.Out)
	}
	if b, err = e.Sealing.sealed(b, &k, x, nil, none); err != nil {
		return b, err
	}
	return number(b, "lasted_us", o.Elapsed.Microseconds()), nil
}
