package policy

import (
	"github.com/sallyport/sallyport/guard"
)

// Reasons of this guard. A policy gives one of them with every no. ApprovalRequired belongs to the core.
const (
	ToolNotAllowed     guard.Reason = "tool_not_allowed"
	ServerNotAllowed   guard.Reason = "server_not_allowed"
	PolicyDenied       guard.Reason = "policy_denied"
	ArgumentNotAllowed guard.Reason = "argument_not_allowed"
	ApprovalRequired                = guard.ApprovalRequired
	InsufficientScope  guard.Reason = "insufficient_scope"
	ReadOnly           guard.Reason = "read_only"
)

// ReauthenticationRequired is a reason of the core that a policy may give.
const ReauthenticationRequired = guard.ReauthenticationRequired

// ValidReason reports whether a policy may refuse for r.
func ValidReason(r guard.Reason) bool {
	if r == ApprovalRequired {
		return true
	}
	if r == ReauthenticationRequired {
		return true
	}
	for _, info := range reasons() {
		if info.Reason == r {
			return true
		}
	}
	return false
}

// reasons returns what the reasons mean.
func reasons() []guard.ReasonInfo {
	return []guard.ReasonInfo{
		{Reason: ToolNotAllowed, Status: 200, Code: guard.CodeDenied, Text: "You may not use this tool.",
			When: "No rule of the policy lets the principal use the tool, prompt or resource, and `guards.policy.hide` is off."},
		{Reason: ServerNotAllowed, Status: 403, Code: guard.CodeDenied, Text: "You may not use this MCP server.",
			When: "No rule of the policy lets the principal use the server, and `guards.policy.hide` is off; otherwise the answer is `unknown_server`."},
		{Reason: PolicyDenied, Status: 200, Code: guard.CodeDenied, Text: "Policy does not allow this.",
			When: "The policy says no for another reason, or says nothing; the detail has its words."},
		{Reason: ArgumentNotAllowed, Status: 200, Code: guard.CodeDenied, Text: "Policy does not allow these arguments.",
			When: "The principal may use the target, but not with these arguments."},
		{Reason: InsufficientScope, Status: 403, Code: guard.CodeDenied, Text: "The access token lacks a scope that this action needs.",
			When: "The role may use the target, and the token lacks a scope; the challenge names all that are needed."},
		{Reason: ReadOnly, Status: 200, Code: guard.CodeDenied, Text: "Changes are frozen at the moment; reading still works.",
			When: "The freeze switch of the policy is on, and the tool is not known to only read."},
	}
}
