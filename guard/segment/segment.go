package segment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
	"github.com/sallyport/sallyport/segment"
)

// status is what came of a place.
type status uint8

const (
	unsigned status = iota
	invalid
	verified
)

// finding is a place that a model reads, and whose words they are.
type finding struct {
	pointer string
	about   segment.About // without arguments
	late    bool          // see place
	status  status
	by, why string // who signed, why it does not count
	digest  string // of what was verified
}

// Slots of an exchange: what the request's arguments were, and what was found in
// the message that the guard saw last.
var (
	asked = guard.NewSlot[json.RawMessage]()
	task  = guard.NewSlot[string]() // that the request named
	found = guard.NewSlot[[]finding]()
)

// mostChecked bounds the signatures of one message, each of which costs as much
// as judging a message.
const mostChecked = 32

// Inspect remembers what is asked, and verifies what is answered.
func (g *verifier) Inspect(_ context.Context, x *guard.Exchange, m *mcp.Message) (guard.Verdict, error) {
	if m.Direction == mcp.ToServer && (m.Method == "tasks/result" || m.Method == "tasks/get") {
		task.Set(x, strings.Clone(m.Name)) // in the server's words; the exchange has the client's
		return guard.Pass(), nil
	}
	if m.Direction == mcp.ToServer {
		// Signatures may be for these arguments alone; the digest is enough, but
		// takes longer than a copy, and most answers are not signed.
		if arguments, ok := mcp.Member(m.Params, "arguments"); ok && m.Kind == mcp.Request && len(arguments) <= mostArguments && g.hasSigner(&x.Server) {
			asked.Set(x, append(json.RawMessage(nil), arguments...))
		}
		return guard.Pass(), nil
	}
	list, governed := g.judge(x, m)
	if list != nil {
		found.Set(x, list)
	} else if old, ok := found.Get(x); ok && old != nil {
		found.Set(x, nil)
	}
	return g.verdict(x, m, list, governed), nil
}

// mostArguments is how long arguments may be that signatures are bound to.
const mostArguments = 64 << 10

// place is where a signature can stand.
type place struct {
	pointer string
	about   segment.About
	raw     json.RawMessage
	late    bool // the request was another exchange's, so its name is not known
}

// judge looks at all places of a message. governed are those that have to be
// verified, or whose being unsigned is told.
func (g *verifier) judge(x *guard.Exchange, m *mcp.Message) (list []finding, governed bool) {
	signed, checked := g.hasSigner(&x.Server), 0
	v := segment.Verifier{Keys: g.find(&x.Server), Lifetime: g.Lifetime, Skew: g.Skew, Now: g.now}
	for _, p := range g.places(x, m) {
		whole := g.check(&v, x, p, &checked)
		all := []finding{whole}
		if whole.status != verified {
			blocks, every := g.blocks(&v, x, p, &checked)
			if every && whole.status != invalid {
				all = blocks // nothing is left that the whole would have to speak for
			} else {
				all = append(all, blocks...)
			}
		}
		must := g.required(x.Server.Name, &p.about, p.late) || signed && spoken(p.about.Method) && g.Unverified != "ignore"
		if must {
			governed = true
		} else if all[0].pointer == p.pointer && all[0].status == unsigned && all[0].why == "" {
			all = all[1:] // there is nothing to tell
		}
		list = append(list, all...)
	}
	return list, governed
}

// places returns what of a message a model reads.
func (g *verifier) places(x *guard.Exchange, m *mcp.Message) []place {
	about := segment.About{Server: x.Server.Name, Part: segment.Whole}
	if m.Kind == mcp.Request {
		if m.Method != "sampling/createMessage" || m.Params == nil {
			return nil
		}
		about.Method = m.Method
		return []place{{pointer: "/params", about: about, raw: m.Params}}
	}
	if m.Method == "notifications/tasks" {
		return g.ofTask(x, about, "/params", m.Params, mcp.Text(m.Params, "taskId"))
	}
	if m.Kind != mcp.Response || m.Result == nil {
		return nil
	}
	if topic := x.Topic(m); topic == "tasks/get" {
		id, _ := task.Get(x)
		return g.ofTask(x, about, "/result", m.Result, id)
	}
	// What a server asks stands beside what it answers, and takes nothing away from
	// that: a client of a revision without inputRequests reads the answer alone.
	var out []place
	if requests, ok := mcp.Member(m.Result, "inputRequests"); ok {
		out = nested(about, "/result", requests)
	}
	late := false
	switch topic := x.Topic(m); topic {
	case "prompts/get", "tools/call", "resources/read":
		about.Method, about.Name = topic, x.Asked.Name
	case "initialize", "server/discover":
		about.Method = "initialize"
	case "tasks/result":
		about.Method, late = likely(m.Result), true
		if id, ok := task.Get(x); ok && g.tool != nil {
			if name, known := g.tool(x, id); known {
				about.Method, about.Name, late = "tools/call", name, false
			}
		}
	default: // what it answers is not known, and so neither is what it has to be signed for
		about.Method, late = likely(m.Result), true
	}
	if about.Method == "" || !reads(m.Result, about.Method) {
		return out
	}
	return append(out, place{"/result", about, m.Result, late})
}

// ofTask are the places of a message that tells how a task stands: by MCP
// 2026-07-28 it holds the result and the questions.
func (g *verifier) ofTask(x *guard.Exchange, about segment.About, at string, part json.RawMessage, id string) (out []place) {
	if requests, ok := mcp.Member(part, "inputRequests"); ok {
		out = nested(about, at, requests)
	}
	result, ok := mcp.Member(part, "result")
	if about.Method = likely(result); !ok || about.Method == "" || about.Method == "initialize" {
		return out
	}
	late := true
	if id != "" && g.tool != nil {
		if name, known := g.tool(x, id); known {
			about.Method, about.Name, late = "tools/call", name, false
		}
	}
	return append(out, place{at + "/result", about, result, late})
}

// nested are the requests that a server wants the client to answer.
func nested(about segment.About, at string, requests json.RawMessage) (out []place) {
	for key, r := range mcp.Members(requests) {
		if params, ok := mcp.Member(r, "params"); ok && mcp.Text(r, "method") == "sampling/createMessage" {
			about.Method = "sampling/createMessage"
			out = append(out, place{pointer: at + "/inputRequests/" + token(key) + "/params", about: about, raw: params})
		}
	}
	return out
}

// likely is the method that a result answers, by its members.
func likely(result json.RawMessage) string {
	for _, method := range [...]string{"prompts/get", "resources/read", "tools/call", "initialize"} {
		if reads(result, method) {
			return method
		}
	}
	return ""
}

// reads reports whether there is something in raw that a model reads.
func reads(raw json.RawMessage, method string) bool {
	for _, name := range segment.Covered(method) {
		if name == "description" || name == "isError" {
			continue
		}
		if _, ok := mcp.Member(raw, name); ok {
			return true
		}
	}
	return false
}

func token(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
}

// check verifies the signature of one place.
func (g *verifier) check(v *segment.Verifier, x *guard.Exchange, p place, checked *int) finding {
	f := finding{pointer: p.pointer, about: p.about, late: p.late}
	meta, _ := mcp.Member(p.raw, "_meta")
	envelope, ok := mcp.Member(meta, segment.Key)
	if !ok {
		return f
	}
	if p.late {
		f.why = "it is not known what this answers"
		return f
	}
	if *checked++; *checked > mostChecked {
		f.why = fmt.Sprintf("it is beyond the first %d signatures of the message", mostChecked)
		return f
	}
	about := p.about
	if arguments, ok := asked.Get(x); ok && about.Method != "sampling/createMessage" {
		about.Arguments = arguments
	}
	key, err := v.Verify(about, p.raw, envelope)
	switch {
	case errors.Is(err, segment.ErrUnknownKey):
		f.why = "nobody who may sign this has the key"
		return f
	case err != nil:
		f.status, f.why = invalid, strings.TrimPrefix(err.Error(), "segment: ")
		return f
	}
	digest, err := segment.Digest(p.about, p.raw)
	if err != nil {
		f.status, f.why = invalid, err.Error()
		return f
	}
	f.status, f.by, f.digest = verified, key.Owner, digest
	return f
}

// blocks verifies the blocks of a result one by one. every reports whether all
// that a model reads of it is verified so.
func (g *verifier) blocks(v *segment.Verifier, x *guard.Exchange, p place, checked *int) (list []finding, every bool) {
	member := map[string]string{"tools/call": "content", "resources/read": "contents"}[p.about.Method]
	blocks, ok := mcp.Member(p.raw, member)
	if member == "" || !ok {
		return nil, false
	}
	_, structured := mcp.Member(p.raw, "structuredContent")
	i, every := 0, !structured
	for raw := range mcp.Elements(blocks) {
		if len(list) == mostChecked {
			return list, false
		}
		about := p.about
		about.Part = segment.Block
		f := g.check(v, x, place{p.pointer + "/" + member + "/" + strconv.Itoa(i), about, raw, p.late}, checked)
		if i++; f.status != unsigned || f.why != "" {
			list = append(list, f)
		}
		every = every && f.status == verified
	}
	return list, every && i > 0
}

// verdict labels the exchange, and refuses where that is asked for.
func (g *verifier) verdict(x *guard.Exchange, m *mcp.Message, list []finding, governed bool) guard.Verdict {
	v := guard.Pass()
	if len(list) == 0 {
		return v
	}
	var count [3]int
	var detail []string
	must := false
	for i := range list {
		f := &list[i]
		count[f.status]++
		if i < 8 {
			detail = append(detail, f.pointer+" "+f.describe())
		}
		if f.status == unsigned && f.about.Part == segment.Whole && governed {
			must = must || g.Unverified == "refuse" && spoken(f.about.Method) && g.hasSigner(&x.Server) || g.required(x.Server.Name, &f.about, f.late)
		}
	}
	v.Detail = strings.Join(detail, "; ")
	label := func(name string) {
		v.Obligations = append(v.Obligations, guard.Obligation{Kind: guard.AddLabel, Name: name})
	}
	switch {
	case count[invalid] > 0:
		label("segment_invalid")
		v.Obligations = append(v.Obligations, guard.Obligation{Kind: guard.Raise, Name: string(Invalid), Value: v.Detail})
	case count[unsigned] > 0:
		label("segment_unverified")
	default:
		label("segment_verified")
	}
	reason := guard.Reason("")
	switch {
	case count[invalid] > 0 && (g.Invalid == "refuse" || g.mustBeVerified(x, list)):
		reason = Invalid
	case must:
		reason = Unverified
	}
	if reason == "" {
		return v
	}
	if list[0].about.Method == "initialize" {
		// Without its instructions a server can be used; without its answer it cannot.
		v.Edits = []mcp.Edit{mcp.RemoveMember("/result/instructions")}
		found.Set(x, nil)
		return v
	}
	v.Action, v.Reason = guard.Deny, reason
	v.Result = m.Kind == mcp.Response && x.Asked.Method == "tools/call"
	return v
}

// mustBeVerified reports whether an invalid signature is one too few.
func (g *verifier) mustBeVerified(x *guard.Exchange, list []finding) bool {
	for i := range list {
		if a := &list[i].about; list[i].status == invalid && (g.required(x.Server.Name, a, list[i].late) || g.Unverified == "refuse" && spoken(a.Method)) {
			return true
		}
	}
	return false
}

func (f *finding) describe() string {
	switch f.status {
	case verified:
		return "is signed by " + f.by
	case invalid:
		return "is invalid: " + f.why
	}
	if f.why != "" {
		return "is unverified: " + f.why
	}
	return "is unsigned"
}
