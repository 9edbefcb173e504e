package policy

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// result cuts a result down to what the policy shows of it.
func (q *question) result(m *mcp.Message) (guard.Verdict, error) {
	v := guard.Pass()
	topic := q.x.Asked.Method
	late := q.x.Asked.Kind != mcp.Request // a resumed stream: it may answer anything
	if late || topic == "initialize" || topic == "server/discover" {
		if err := q.capabilities(m, &v); err != nil {
			return guard.Verdict{}, err
		}
	}
	for _, l := range listings {
		if !late && topic != l.topic {
			continue
		}
		if err := q.filter(m, &l, &v); err != nil || v.Action != guard.Allow {
			return v, err
		}
	}
	if q.x.Revision.Modern() {
		if no, err := q.nested(m.Result); no != nil || err != nil {
			return orZero(no), err
		}
		if perReader(topic) {
			private(m, &v)
		}
	}
	if (late || strings.HasPrefix(topic, "tasks/")) && q.g.decider.Masks() && hasContent(m.Result) {
		return forgotten(), nil
	}
	if masks, ok := masked.Get(q.x); ok {
		edits, err := masks.edits(m)
		if err != nil {
			return guard.Verdict{}, err
		}
		v.Edits = append(v.Edits, edits...)
	}
	return v, nil
}

// forgotten withholds what a call gave of which the masks went with its exchange.
func forgotten() guard.Verdict {
	return guard.Refuse(PolicyDenied, "the result of a call that another request made, of which nobody knows any more what to mask")
}

func orZero(v *guard.Verdict) guard.Verdict {
	if v == nil {
		return guard.Verdict{}
	}
	return *v
}

// listing is one kind of list and what its items are called by.
type listing struct {
	topic, member, name string
	kind                TargetKind
	method              string // by which an item is used
}

var listings = [...]listing{
	{"tools/list", "tools", "name", Tool, "tools/call"},
	{"prompts/list", "prompts", "name", Prompt, "prompts/get"},
	{"resources/list", "resources", "uri", Resource, "resources/read"},
	{"resources/templates/list", "resourceTemplates", "uriTemplate", Template, "resources/read"},
}

// maxItems bounds how many questions one page of a server's list makes: a message
// of the largest size has room for seconds of them.
const maxItems = 20_000

// filter leaves out of a list what its reader may not use. Order and pages stay
// as they are, since a page may be empty and still have a next one.
func (q *question) filter(m *mcp.Message, l *listing, v *guard.Verdict) error {
	items, ok := mcp.Member(m.Result, l.member)
	if !ok {
		return nil
	}
	if items[0] != '[' {
		*v = guard.Refuse(guard.UpstreamBadReply, "result."+l.member+" is no array")
		return nil
	}
	kept, dropped, n := append(make([]byte, 0, len(items)), '['), false, 0
	for item := range mcp.Elements(items) {
		if n++; n > maxItems {
			*v = guard.Refuse(guard.UpstreamBadReply, "result."+l.member+" has more items than "+strconv.Itoa(maxItems))
			return nil
		}
		show, err := q.shows(item, l)
		if err != nil {
			return err
		}
		if !show {
			dropped = true
			continue
		}
		if len(kept) > 1 {
			kept = append(kept, ',')
		}
		kept = append(kept, item...)
	}
	if dropped {
		v.Edits = append(v.Edits, mcp.SetPointer("/result/"+l.member, append(kept, ']')))
	}
	return nil
}

func (q *question) shows(item json.RawMessage, l *listing) (bool, error) {
	name := mcp.Text(item, l.name)
	if name == "" {
		return false, nil // it cannot be used
	}
	t := Target{l.kind, name}
	if l.kind == Resource {
		var err error
		if t, err = resource(name); err != nil {
			return false, nil // reading it would be refused
		}
	}
	d, err := q.access(q.about(l.method, mcp.ToServer, mcp.Request, t))
	if err != nil {
		return false, err
	}
	return shown(d), nil
}

// capabilities takes away from what a server offers what the policy lets the
// caller not even list.
func (q *question) capabilities(m *mcp.Message, v *guard.Verdict) error {
	have, ok := mcp.Member(m.Result, "capabilities")
	if !ok {
		return nil
	}
	for name := range mcp.Members(have) {
		switch name {
		case "tools", "prompts", "resources":
		default:
			continue
		}
		d, err := q.access(q.about(name+"/list", mcp.ToServer, mcp.Request, Target{}))
		if err != nil {
			return err
		}
		if !shown(d) {
			v.Edits = append(v.Edits, mcp.RemoveMember("/result/capabilities/"+name))
		}
	}
	return nil
}

// perReader reports whether the results of a method differ from caller to
// caller once a policy has filtered them.
func perReader(topic string) bool {
	switch topic {
	case "server/discover", "tools/list", "prompts/list", "resources/list", "resources/templates/list", "resources/read":
		return true
	}
	return false
}

// private keeps caches between us and the client from showing one caller what
// another may see (MCP 2026-07-28, caching).
func private(m *mcp.Message, v *guard.Verdict) {
	if have, ok := mcp.Member(m.Result, "cacheScope"); !ok || string(have) != `"private"` {
		v.Edits = append(v.Edits, mcp.SetPointer("/result/cacheScope", []byte(`"private"`)))
	}
}

// nested asks about the requests that a result, or the state of a task, wants
// the client to answer (MCP 2026-07-28, input_required). One that may not be
// made refuses the whole: the server waits for all answers together.
func (q *question) nested(part json.RawMessage) (*guard.Verdict, error) {
	requests, ok := mcp.Member(part, "inputRequests")
	if !ok {
		return nil, nil
	}
	for _, r := range mcp.Members(requests) {
		params, _ := mcp.Member(r, "params")
		in := q.about(mcp.Text(r, "method"), mcp.ToClient, mcp.Request, Target{})
		for _, s := range []Step{Access, Call} {
			d, err := q.g.decider.Decide(q.ctx, s, in)
			if err != nil {
				return nil, err
			}
			if !d.Allow {
				v := q.refuse(s, d, Target{})
				v.Obligations = nil // no challenge: the client did not ask for this
				return &v, nil
			}
			if s == Call && !d.Obligations.IsZero() && len(d.Labels) == 0 {
				return nil, errNested
			}
			in.Params = params
		}
	}
	return nil, nil
}

// maxSubscriptions bounds how many questions one message of a client makes.
const maxSubscriptions = 1000

// subscribe asks about each resource that a stream of changes is opened for.
func (q *question) subscribe(m *mcp.Message) (guard.Verdict, error) {
	about, _ := mcp.Member(m.Params, "notifications")
	for name, wanted := range mcp.Members(about) {
		switch {
		case !strings.EqualFold(name, "resourceSubscriptions"):
			continue
		case name != "resourceSubscriptions": // which some servers read as that
			return guard.Refuse(guard.InvalidParams, "another spelling of resourceSubscriptions"), nil
		case wanted[0] != '[' && string(wanted) != "null":
			return guard.Refuse(guard.InvalidParams, "resourceSubscriptions is no list"), nil
		}
		n := 0
		for item := range mcp.Elements(wanted) {
			if n++; n > maxSubscriptions {
				return guard.Refuse(guard.InvalidParams, "more resourceSubscriptions than "+strconv.Itoa(maxSubscriptions)), nil
			}
			uri, err := mcp.Unquote(item)
			if err != nil {
				return guard.Refuse(guard.InvalidParams, "resourceSubscriptions holds something else than URIs"), nil
			}
			t, err := resource(uri)
			if err != nil {
				return guard.Refuse(PolicyDenied, err.Error()), nil
			}
			d, err := q.access(q.about(m.Method, m.Direction, m.Kind, t))
			if err != nil {
				return guard.Verdict{}, err
			}
			if !d.Allow {
				return q.refuse(Access, d, t), nil
			}
		}
	}
	return q.message(m)
}

// hasContent reports whether a result carries what a tool, resource or prompt
// gave.
func hasContent(result json.RawMessage) bool {
	for name := range mcp.Members(result) {
		switch name {
		case "content", "structuredContent", "contents", "messages", "result":
			return true
		}
	}
	return false
}
