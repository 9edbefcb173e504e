package guard

import "github.com/sallyport/sallyport/mcp"

// Reason is the stable code of a refusal: the same word in the receipt, the
// metric, the client's error and the documentation. The list is closed: the
// core reasons below plus those that a guard declares in its [Spec].
type Reason string

// ReasonInfo says what a reason means to a client.
type ReasonInfo struct {
	Reason Reason
	Status int    // HTTP status for a refused request whose response has not begun; 200 where only that lets every client read the error
	Code   int    // JSON-RPC error code
	Text   string // the error message that the client reads: what happened and what to do next
	When   string // for docs/reasons.md: when an operator sees it
}

// Core reasons, used by the chain and its hosts.
const (
	Malformed          = Reason(mcp.ReasonMalformed)
	InvalidMessage     = Reason(mcp.ReasonInvalid)
	TooLarge           = Reason(mcp.ReasonTooLarge)
	UnknownMethod      = Reason(mcp.ReasonUnknownMethod)
	HeaderMismatch     = Reason(mcp.ReasonHeaderMismatch)
	UnsupportedVersion = Reason(mcp.ReasonUnsupportedVersion)
	UnsupportedMedia   = Reason(mcp.ReasonUnsupportedMedia)
	InvalidParams      = Reason(mcp.ReasonInvalidParams)
	WrongTransport     = Reason(mcp.ReasonWrongTransport)

	UnknownServer      Reason = "unknown_server"
	UnknownSession     Reason = "unknown_session"
	UnknownEvent       Reason = "unknown_event"
	UnknownTarget      Reason = "unknown_target"
	GuardError         Reason = "guard_error"
	DeadlineExceeded   Reason = "deadline_exceeded"
	OverBudget         Reason = "inspection_over_budget"
	ReceiptUnavailable Reason = "receipt_unavailable"
	GatewayStopping    Reason = "gateway_stopping"
	IdentityExpired    Reason = "identity_expired"
	IdentityRevoked    Reason = "identity_revoked"

	// ReauthenticationRequired is asked for by whoever knows what is sensitive.
	ReauthenticationRequired Reason = "reauthentication_required"

	// EgressDenied and UnknownWorkload are of egress listeners, the first of
	// messages that name destinations too.
	EgressDenied    Reason = "egress_denied"
	UnknownWorkload Reason = "unknown_workload"

	UpstreamBadReply    Reason = "upstream_bad_reply"
	UpstreamUnavailable Reason = "upstream_unavailable"
	UpstreamTimeout     Reason = "upstream_timeout"
	UpstreamTooLarge    Reason = "upstream_reply_too_large"

	// ApprovalRequired belongs to no single guard: several ask for a person.
	ApprovalRequired Reason = "approval_required"
)

// CoreReasons returns the reasons that do not belong to a single guard.
func CoreReasons() []ReasonInfo {
	return []ReasonInfo{
		{Malformed, 400, mcp.CodeParse, "The body is not one strictly valid JSON value.", "The decoder: not JSON, a byte order mark, invalid UTF-8, duplicate keys, trailing data and whatever else two parsers could read differently. Code -32600 for what is JSON, such as duplicate keys."},
		{InvalidMessage, 400, mcp.CodeInvalidRequest, "The body is not one legal JSON-RPC 2.0 message.", "The decoder: a batch, an illegal id, a wrong jsonrpc member, a request that is also a response, a request without an id."},
		{TooLarge, 413, mcp.CodeInvalidRequest, "The message is larger than this gateway accepts.", "A body, an SSE event, a nesting depth, a number or a key count beyond `limits`. HTTP 400 but for the body as a whole."},
		{UnknownMethod, 200, mcp.CodeMethodNotFound, "Method not found.", "A method outside the protocol revision in use and not listed in `mcp.extra_methods`. HTTP 404 for 2026-07-28, 200 before."},
		{HeaderMismatch, 400, mcp.CodeHeaderMismatch, "The HTTP headers and the body disagree.", "A required MCP header is absent, repeated, or names something else than the body. Code -32600 before 2026-07-28."},
		{UnsupportedVersion, 400, mcp.CodeInvalidRequest, "This MCP protocol version is not supported here.", "A protocol revision that the gateway, or the server's registration, does not list. For 2026-07-28 the code is -32022, and `error.data` says what is `supported` instead of a reason."},
		{UnsupportedMedia, 415, mcp.CodeInvalidRequest, "Send one application/json body in UTF-8 without content encoding.", "Content-Type, charset or Content-Encoding of a request."},
		{InvalidParams, 200, mcp.CodeInvalidParams, "Invalid params.", "Params that lack what their method requires, such as a tool name."},
		{WrongTransport, 405, mcp.CodeInvalidRequest, "This HTTP method is not served here.", "An HTTP method, or a message kind, that the protocol revision does not have."},
		{UnknownServer, 404, CodeUnknownServer, "No MCP server is registered under this path. Use /mcp/<server>.", "The path names no server of the registry."},
		{UnknownSession, 404, mcp.CodeInvalidRequest, "This session has ended. Begin a new one with initialize.", "A session id of a version that left the registry, that was not made for this caller (`guards.binding`), or that the upstream answered with a bare 404. Sent without a body, which is what clients take for the end of a session."},
		{UnknownEvent, 400, mcp.CodeInvalidRequest, "No stream can be resumed from this event. Open a new one without Last-Event-ID.", "A `Last-Event-ID` that was not made for this caller, or whose key is gone from `guards.binding.keys`."},
		{UnknownTarget, 200, mcp.CodeInvalidParams, "No such tool, prompt or resource, or none that you may use.", "A target that the policy does not let the principal use while `guards.policy.hide` is on, or that `guards.catalog` holds or never saw listed. It makes no difference to the caller whether the target exists; the detail says what it was."},
		{GuardError, 503, CodeNotJudged, "The gateway could not judge this message and therefore did not pass it on. Try again later.", "A guard reached no answer and its `on_error` is `deny`, or it broke, which no `on_error` excuses. The receipt's detail and the log say what."},
		{DeadlineExceeded, 503, CodeNotJudged, "The gateway could not judge this message in time and therefore did not pass it on. Try again later.", "A guard did not answer within its `timeout`, or the gateway as a whole within `limits.judge_time`, or the client left before it did."},
		{OverBudget, 503, CodeNotJudged, "Looking into this message takes longer than is allowed here, so it was not passed on. Send less at once.", "The guards that look into content took longer than `content.budget`, and `content.over_budget` is `deny`. Whatever their `on_error` says."},
		{ReceiptUnavailable, 503, CodeNotJudged, "The gateway cannot record decisions at the moment and therefore passes nothing on. Try again later.", "Receipts cannot be kept and `receipts.when_full` is `block`, or another observer of decisions failed."},
		{GatewayStopping, 503, CodeNotJudged, "The gateway is restarting. Try again.", "A stream that was still open when the drain period ended."},
		{IdentityExpired, 401, CodeUnauthenticated, "The token with which this stream was opened has expired. Open it again with a fresh one.", "An event stream that was open when its client's token expired."},
		{IdentityRevoked, 401, CodeUnauthenticated, "This identity was revoked and is not accepted any more. Ask whoever operates this gateway.", "A request of a revoked subject, client, token or peer, or an event stream that it had open; `sallyport revoke list` shows what is revoked."},
		{ReauthenticationRequired, 401, CodeUnauthenticated, "This action needs a fresh or stronger authentication. Authenticate again and retry.", "`identity_framework.continuous_reauth` or the policy holds the target for sensitive, and the authentication is too old or too weak. The challenge says what would do (RFC 9470)."},
		{UnknownWorkload, 403, CodeUnauthenticated, "This connection belongs to no workload that may go out. Ask whoever operates this gateway.", "A connection to an egress listener whose certificate has an id that no workload under `egress.workloads` has."},
		{UpstreamBadReply, 502, CodeUpstream, "The MCP server's reply is not valid and was withheld.", "A reply that the strict decoder refuses, that is content-encoded, or that answers a request nobody made."},
		{UpstreamUnavailable, 502, CodeUpstream, "The MCP server failed or cannot be reached. Try again later.", "An error status of the upstream without a JSON-RPC body, or a local reply of Envoy."},
		{UpstreamTimeout, 504, CodeUpstreamTimeout, "The MCP server did not answer in time.", "A reply that did not complete within `limits.response_time`."},
		{ApprovalRequired, 200, CodeDenied, "A person has to approve this first.", "The call is allowed on condition of an approval, by policy or by `autonomy_controls.boundary_controls`, and none was given. There is no workflow for approvals yet."},
		{UpstreamTooLarge, 502, CodeUpstream, "The MCP server's reply is larger than this gateway accepts and was withheld.", "A JSON reply beyond `limits.response` or an SSE event beyond `limits.event`."},
	}
}

// Application error codes. They lie outside -32768..-32000, which JSON-RPC and
// MCP reserve, and echo the HTTP status that comes closest.
const (
	CodeUnauthenticated = -31401
	CodeDenied          = -31403 // a guard said no
	CodeUnknownServer   = -31404
	CodeQuota           = -31429
	CodeRequestContent  = -31451
	CodeResponseContent = -31452
	CodeUpstream        = -31502
	CodeNotJudged       = -31503 // the gateway could not decide
	CodeUpstreamTimeout = -31504
)
