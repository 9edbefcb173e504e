package replay

import (
	"encoding/json"
	"net/netip"
	"slices"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/mcp"
)

// receipt is what a replay reads of one (docs/receipts.schema.json).
type receipt struct {
	Time           time.Time       `json:"time"`
	Exchange       string          `json:"exchange"`
	Direction      string          `json:"direction"`
	Server         string          `json:"server"`
	Owner          string          `json:"server_owner"`
	Domain         string          `json:"server_domain"`
	Classification string          `json:"server_classification"`
	Clearance      string          `json:"server_clearance"`
	Revision       string          `json:"revision"`
	Subject        string          `json:"subject"`
	Issuer         string          `json:"issuer"`
	Agent          string          `json:"agent"`
	Actors         []string        `json:"actors"`
	Client         string          `json:"client"`
	Tenant         string          `json:"tenant"`
	Task           string          `json:"task"`
	TaskType       string          `json:"task_type"`
	Peer           string          `json:"peer"`
	Roles          []string        `json:"roles"`
	Scopes         []string        `json:"scopes"`
	Strength       string          `json:"strength"`
	AuthTime       time.Time       `json:"auth_time"`
	Expires        time.Time       `json:"expires"`
	Source         netip.AddrPort  `json:"source"`
	Kind           string          `json:"kind"`
	Method         string          `json:"method"`
	Name           string          `json:"name"`
	NameHMAC       string          `json:"name_hmac"` // where Name is a URI that is not in clear as a whole
	Tool           *tool           `json:"tool"`
	Arguments      json.RawMessage `json:"arguments"`
	Params         json.RawMessage `json:"params"`
	Labels         []string        `json:"labels"`
	Guards         []verdict       `json:"guards"`
	Sealed         []struct {
		What string `json:"what"`
	} `json:"sealed"`
}

type tool struct {
	Facts          []string `json:"facts"`
	Risk           string   `json:"risk"`
	Classification string   `json:"data_classification"`
	Clearance      string   `json:"clearance"`
}

type verdict struct {
	Name       string `json:"name"`
	Action     string `json:"action"`
	Reason     string `json:"reason"`
	Detail     string `json:"detail"`
	Error      string `json:"error"`
	LabelsSeen int    `json:"labels_seen"`
}

// verdict returns the policy guard's, or nil where it was not asked.
func (r *receipt) verdict() *verdict {
	for i := range r.Guards {
		if r.Guards[i].Name == "policy" {
			return &r.Guards[i]
		}
	}
	return nil
}

// question is what a policy was asked, as far as the receipt tells.
type question struct {
	in      policy.Input
	unknown map[string]string // by the input's members: why they are not known
}

var kinds = map[string]mcp.Kind{"request": mcp.Request, "notification": mcp.Notification, "transport": mcp.Transport}

// maxText is the length from which receipts cut texts.
const maxText = 2048

// said returns what a policy said at the time; false where none was asked about
// the message as a whole.
func (r *receipt) said() (answer, bool) {
	v := r.verdict()
	if _, whole := kinds[r.Kind]; !whole || v == nil {
		return answer{}, false
	}
	return v.answer()
}

// question reads what the policy was asked.
func (r *receipt) question() *question {
	v, kind := r.verdict(), kinds[r.Kind]
	p := &guard.Principal{
		Subject: r.Subject, Issuer: r.Issuer, Agent: r.Agent, Actors: r.Actors, Client: r.Client, Tenant: r.Tenant, Roles: r.Roles, Scopes: r.Scopes,
		Task: r.Task, TaskType: r.TaskType, Peer: r.Peer, Strength: r.Strength, AuthTime: r.AuthTime, Expires: r.Expires,
	}
	q := &question{unknown: make(map[string]string)}
	q.in = policy.Input{
		Principal: p, Server: &guard.Server{Name: r.Server, Owner: r.Owner, Domain: r.Domain, Classification: r.Classification, Clearance: r.Clearance},
		Method: r.Method, Kind: kind, Revision: mcp.ParseRevision(r.Revision), Source: r.Source.Addr().Unmap(), Time: r.Time,
		Labels: r.Labels[:min(v.LabelsSeen, len(r.Labels))],
	}
	if r.Direction == mcp.ToClient.String() {
		q.in.Direction = mcp.ToClient
	}
	q.content(r)
	if !p.IsAnonymous() && r.Roles == nil {
		q.unknown["principal"] = "the receipt is of a gateway that did not record roles"
	}
	if slices.ContainsFunc([]string{r.Subject, r.Client, r.Peer, r.Tenant, r.Agent}, long) {
		q.unknown["principal"] = "a name is too long for the receipt"
	}
	for _, s := range r.Sealed {
		if s.What == "identity" {
			q.unknown["principal"], q.unknown["source"] = sealedCaller, sealedCaller
		}
	}
	if t := r.Tool; t != nil {
		is := func(fact string) bool { return slices.Contains(t.Facts, fact) }
		q.in.Server.Tools = map[string]guard.Tool{r.Name: {
			Classification: t.Classification, Clearance: t.Clearance, Risk: t.Risk, Sensitive: is("sensitive"), ReadOnly: is("read_only"), Destructive: is("destructive"),
			Idempotent: is("idempotent"), External: is("external"), Financial: is("financial"),
		}}
	}
	q.target(r)
	return q
}

func long(s string) bool { return len(s) > maxText }

const (
	sealedCaller = "who called is sealed in the receipt (receipts.sealing.subjects)"

	noArguments  = "the policy reads arguments that the receipt does not hold (receipts.keep)"
	noParams     = "the policy reads params that the receipt does not hold (receipts.keep)"
	hiddenTarget = "the policy reads a URI that the receipt does not hold as a whole (receipts.uris, receipts.keep)"
	noTarget     = "what the message works on stands in params that the receipt does not hold (receipts.keep)"
)

// content sets the params, as far as they were kept; null stands for none.
func (q *question) content(r *receipt) {
	switch {
	case r.Params != nil:
		if string(r.Params) != "null" {
			q.in.Params = r.Params
		}
	case r.Arguments != nil:
		q.unknown["params"] = noParams
		if string(r.Arguments) != "null" {
			q.in.Params = append(append([]byte(`{"arguments":`), r.Arguments...), '}')
		}
	default:
		q.unknown["params"], q.unknown["arguments"] = noParams, noArguments
	}
}

// target sets what the message works on.
func (q *question) target(r *receipt) {
	method, _ := mcp.LookupMethod(r.Method)
	name, known := r.Name, true
	if r.NameHMAC != "" {
		name = kept(r.Params)
		known = name != ""
	}
	switch {
	case r.Method == "subscriptions/listen":
		q.unknown["target"], q.unknown["method"] = "it was asked about several targets", "it was asked about several targets"
	case method.Target == mcp.TargetRef && r.Params == nil:
		q.unknown["target"] = noTarget
	case !known:
		q.unknown["target"] = hiddenTarget
		return
	case long(name) && r.NameHMAC == "":
		q.unknown["target"] = "a name is too long for the receipt"
	}
	t, err := policy.TargetOf(&mcp.Message{Method: r.Method, Name: name, Params: r.Params})
	if err != nil {
		q.unknown["target"] = err.Error()
	}
	q.in.Target = t
}

// kept is the URI of a resource as params say it that were kept.
func kept(params []byte) string {
	if uri := mcp.Text(params, "uri"); uri != "" {
		return uri
	}
	ref, _ := mcp.Member(params, "ref")
	return mcp.Text(ref, "uri")
}
