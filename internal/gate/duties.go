package gate

import (
	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// Header is one header to set: of the request before it goes upstream, or of the
// reply.
type Header = guard.Field

// Duties returns the request headers that the obligations of an allowed
// message ask a host to set. An obligation that a host does not know, or
// cannot carry out in this direction, is a fault: the message is then refused,
// because without the duty it was not allowed.
func Duties(list []guard.Obligation, dir mcp.Direction) ([]Header, *mcp.Fault) {
	var set []Header
	for _, o := range list {
		switch {
		case o.Kind == guard.AddLabel, o.Kind == guard.Raise, o.Kind == guard.Cite, o.Kind == guard.Mark: // the chain has done it
		case o.Kind == guard.ResponseHeader && dir == mcp.ToServer: // the exchange keeps it for the reply
		case o.Kind == guard.SetHeader && dir == mcp.ToServer:
			set = append(set, Header{Name: o.Name, Value: o.Value})
		default:
			return nil, &mcp.Fault{Reason: string(guard.GuardError), Offset: -1,
				Detail: "the host cannot carry out an obligation that came with this message"}
		}
	}
	return set, nil
}
