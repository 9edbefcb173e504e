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
	outcomeOK       = "ok"         // answered, or taken where nothing is to be answered
	outcomeTool     = "tool_error" // the tool's result says isError
	outcomeError    = "error"      // the server answered with a JSON-RPC error
	outcomeRefused  = "refused"    // the gateway said no
	outcomeUpstream = "upstream"   // the server failed, was late, or said what is no answer
	outcomeGateway  = "gateway"    // the gateway failed
	outcomeReset    = "reset"      // the client went away
)

// judge says how an operation ended, and by what error. Both come from closed sets:
// a server that makes up error codes makes no time series.
func judge(o *guard.Outcome) (outcome, kind string) {
	switch o.Ending {
	case guard.Reset:
		return outcomeReset, outcomeReset
	case guard.Broken:
		return outcomeGateway, "broken"
	case guard.TimedOut:
		return outcomeUpstream, string(guard.UpstreamTimeout)
	case guard.Refused:
		return ofReason(o.Reason), string(o.Reason)
	}
	switch {
	case o.Status >= 500:
		return outcomeUpstream, strconv.Itoa(min(o.Status, 599))
	case o.Reply.Kind == mcp.Failure:
		return outcomeError, code(o.Reply.Code)
	case o.Reply.Error:
		return outcomeTool, outcomeTool
	}
	return outcomeOK, ""
}

func ofReason(r guard.Reason) string {
	switch r {
	case guard.UpstreamUnavailable, guard.UpstreamTimeout, guard.UpstreamBadReply, guard.UpstreamTooLarge:
		return outcomeUpstream
	case guard.GuardError, guard.DeadlineExceeded, guard.ReceiptUnavailable, guard.GatewayStopping, "":
		return outcomeGateway
	}
	return outcomeRefused
}

// code is a JSON-RPC error code as a label: those of JSON-RPC and MCP.
func code(n int) string {
	switch n {
	case -32700, -32600, -32601, -32602, -32603, -32000, -32001, -32002, -32042:
		return strconv.Itoa(n)
	}
	return "_OTHER"
}
