package telemetry

import (
	"strconv"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// How an operation ended, as the label "outcome" says it. The share of "ok" among
// ok, tool_error, error, upstream and gateway is the success rate of tools; that of
// all but upstream among ok, tool_error, error and upstream is the availability of
// a server.
const (
	OK           = "ok"         // answered, or taken where nothing is to be answered
	ToolError    = "tool_error" // the tool's result says isError
	ServerError  = "error"      // the server answered with a JSON-RPC error
	Refused      = "refused"    // the gateway said no
	Upstream     = "upstream"   // the server failed, was late, or said what is no answer
	GatewayError = "gateway"    // the gateway failed
	Reset        = "reset"      // the client went away
)

// Judge says how an operation ended, and by what error. Both come from closed sets:
// a server that makes up error codes makes no time series.
func Judge(o *guard.Outcome) (outcome, kind string) {
	switch o.Ending {
	case guard.Reset:
		return Reset, Reset
	case guard.Broken:
		return GatewayError, "broken"
	case guard.TimedOut:
		return Upstream, string(guard.UpstreamTimeout)
	case guard.Refused:
		return ofReason(o.Reason), string(o.Reason)
	}
	switch {
	case o.Status >= 500:
		return Upstream, strconv.Itoa(min(o.Status, 599))
	case o.Reply.Kind == mcp.Failure:
		return ServerError, code(o.Reply.Code)
	case o.Reply.Error:
		return ToolError, ToolError
	}
	return OK, ""
}

func ofReason(r guard.Reason) string {
	switch r {
	case guard.UpstreamUnavailable, guard.UpstreamTimeout, guard.UpstreamBadReply, guard.UpstreamTooLarge:
		return Upstream
	case guard.GuardError, guard.DeadlineExceeded, guard.ReceiptUnavailable, guard.GatewayStopping, "":
		return GatewayError
	}
	return Refused
}

// code is a JSON-RPC error code as a label: those of JSON-RPC and MCP.
func code(n int) string {
	switch n {
	case -32700, -32600, -32601, -32602, -32603, -32000, -32001, -32002, -32042:
		return strconv.Itoa(n)
	}
	return "_OTHER"
}
