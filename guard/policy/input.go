package policy

import (
	"encoding/json"
	"net/netip"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// InputVersion is the version of the document that policies see as their
// input. New members do not change it; a member that goes away, or means
// something else, does.
const InputVersion = 1

// Input is all that a policy may know of one message. It borrows everything it
// points to, and nobody changes it while a [Decider] reads it.
//
// Two kinds of members matter to caching: what stays the same for a principal
// and a target (and what Flow makes of Labels, which is mostly nothing), and what belongs to one call alone (Source, Labels, Time,
// Params, and of the principal AuthTime, Expires and TokenID, which policies
// see as input.authentication).
type Input struct {
	Principal *guard.Principal
	Server    *guard.Server
	Method    string // a method of MCP, or guard.TopicResponse
	Direction mcp.Direction
	Kind      mcp.Kind
	Target    Target
	Revision  mcp.Revision
	Source    netip.Addr
	Labels    []string
	Time      time.Time       // zero: the decider's clock
	Params    json.RawMessage // of a decoded message, as judged so far; nil for none

	// Budget returns what is left of the caller's budgets, as far as this process
	// knows, or nil. It is called only where a policy reads it, and nil where
	// nothing keeps budgets.
	Budget func() json.RawMessage
}

// Remaining is Budget, if there is one.
func (in *Input) Remaining() json.RawMessage {
	if in.Budget == nil {
		return nil
	}
	return in.Budget()
}

// Flow returns what earlier messages of the same task and caller brought.
func (in *Input) Flow() guard.Carried { return guard.CarriedBy(in.Labels) }

// TargetKind says what a method works on.
type TargetKind string

// The kinds of targets.
const (
	NoTarget TargetKind = ""
	Tool     TargetKind = "tool"
	Prompt   TargetKind = "prompt"
	Resource TargetKind = "resource"
	Template TargetKind = "template" // of resources: its name is the URI template as it stands
	Task     TargetKind = "task"
)

// Target is what a method works on.
type Target struct {
	Kind TargetKind
	Name string // of a resource: its normal form (RFC 3986, 6.2.2)
}

// Tool returns what the registry says of the tool that the input is about;
// known is false of anything else, and of a tool that it does not describe.
func (in *Input) Tool() (t guard.Tool, known bool) {
	if in.Target.Kind != Tool {
		return guard.Tool{}, false
	}
	return in.Server.Tool(in.Target.Name)
}

// Classification returns what is registered of the sensitivity of the target's
// data: the tool's own, else its server's; empty where nothing is.
func (in *Input) Classification() string {
	if t, known := in.Tool(); known && t.Classification != "" {
		return t.Classification
	}
	return in.Server.Classification
}

// Clearance returns the most sensitive data that may go into the target, as
// registered: the tool's own, else its server's; empty where nothing is.
func (in *Input) Clearance() string {
	if t, known := in.Tool(); known && t.Clearance != "" {
		return t.Clearance
	}
	return in.Server.Clearance
}

// RoleAnonymous is the role, and the only one, of whoever was not verified.
const RoleAnonymous = "anonymous"

var anonymous = []string{RoleAnonymous}

// Roles returns the roles as policies see them. Nobody changes the list.
func (in *Input) Roles() []string {
	if in.Principal.IsAnonymous() {
		return anonymous
	}
	return in.Principal.Roles
}

// Arguments returns params.arguments, or nil for none.
func (in *Input) Arguments() json.RawMessage {
	args, _ := mcp.Member(in.Params, "arguments")
	return args
}

// AppendJSON appends the input document, as policies see it. Deciders build
// the same in their own terms; tests hold them against this, and this against
// the schema in policies/.
func (in *Input) AppendJSON(b []byte) []byte {
	p := in.Principal
	b = append(b, `{"version":`...)
	b = strconv.AppendInt(b, InputVersion, 10)

	b = append(b, `,"principal":{"anonymous":`...)
	b = strconv.AppendBool(b, p.IsAnonymous())
	for _, f := range [...]struct{ key, value string }{
		{"subject", p.Subject}, {"issuer", p.Issuer}, {"agent", p.Agent}, {"client", p.Client}, {"tenant", p.Tenant},
		{"task", p.Task}, {"task_type", p.TaskType}, {"peer", p.Peer},
	} {
		b = member(b, f.key, f.value)
	}
	b = list(b, "actors", p.Actors)
	b = list(b, "roles", in.Roles())
	b = list(b, "scopes", p.Scopes)

	b = append(b, `},"authentication":{"strength":`...)
	b = mcp.AppendQuote(b, p.Strength)
	b = moment(b, "auth_time", p.AuthTime)
	b = moment(b, "expires", p.Expires)
	b = member(b, "token_id", p.TokenID)

	b = append(b, `},"server":{"name":`...)
	b = mcp.AppendQuote(b, in.Server.Name)
	b = member(b, "owner", in.Server.Owner)
	b = member(b, "domain", in.Server.Domain)
	b = member(b, "data_classification", in.Server.Classification)

	b = append(b, `},"target":{"kind":`...)
	b = mcp.AppendQuote(b, string(in.Target.Kind))
	b = member(b, "name", in.Target.Name)
	b = member(b, "data_classification", in.Classification())
	b = member(b, "clearance", in.Clearance())

	t, known := in.Tool()
	b = append(b, `},"tool":{"known":`...)
	b = strconv.AppendBool(b, known)
	b = member(b, "data_classification", t.Classification)
	b = member(b, "risk", t.Risk)
	for _, f := range [...]struct {
		key   string
		value bool
	}{
		{"sensitive", t.Sensitive}, {"read_only", t.ReadOnly}, {"destructive", t.Destructive},
		{"idempotent", t.Idempotent}, {"external", t.External}, {"financial", t.Financial},
	} {
		b = append(b, ',', '"')
		b = append(b, f.key...)
		b = append(b, `":`...)
		b = strconv.AppendBool(b, f.value)
	}
	b = append(b, '}')

	b = member(b, "method", in.Method)
	b = member(b, "direction", in.Direction.String())
	b = member(b, "kind", in.Kind.String())
	b = member(b, "revision", in.Revision.String())

	source := ""
	if in.Source.IsValid() {
		source = in.Source.String()
	}
	b = member(b, "source", source)
	b = in.flow(b)
	b = list(b, "labels", in.Labels)
	b = moment(b, "time", in.Time)
	if left := in.Remaining(); left != nil {
		b = append(b, `,"budget":`...)
		b = append(b, left...)
	}
	if args := in.Arguments(); args != nil {
		b = append(b, `,"arguments":`...)
		b = append(b, args...)
	}
	if in.Params != nil {
		b = append(b, `,"params":`...)
		b = append(b, in.Params...)
	}
	return append(b, '}')
}

func (in *Input) flow(b []byte) []byte {
	f := in.Flow()
	b = append(b, `,"flow":{"arguments":`...)
	b = mcp.AppendQuote(b, f.Arguments)
	b = member(b, "data_classification", f.Classification())
	b = list(b, "labels", f.Labels())
	b = list(b, "task", f.Task)
	return append(list(b, "caller", f.Caller), '}')
}

func member(b []byte, key, value string) []byte {
	b = append(b, ',', '"')
	b = append(b, key...)
	b = append(b, `":`...)
	return mcp.AppendQuote(b, value)
}

func list(b []byte, key string, values []string) []byte {
	b = append(b, ',', '"')
	b = append(b, key...)
	b = append(b, `":[`...)
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = mcp.AppendQuote(b, v)
	}
	return append(b, ']')
}

// moment writes a time as nanoseconds since 1970, which is what Rego's time
// functions take; 0 for an unknown one.
func moment(b []byte, key string, t time.Time) []byte {
	b = append(b, ',', '"')
	b = append(b, key...)
	b = append(b, `":`...)
	return strconv.AppendInt(b, Moment(t), 10)
}

// Moment returns t as policies see it: nanoseconds since 1970, 0 for the zero time.
func Moment(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}
