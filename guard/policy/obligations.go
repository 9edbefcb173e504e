package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

var (
	errNested = errors.New("policy: the only obligation that a nested request can have is a label")
	errPlace  = errors.New("policy: an obligation that this kind of message cannot carry out")
)

// carryOut makes the verdict of a yes with its conditions.
func (q *question) carryOut(m *mcp.Message, both ...*Obligations) (guard.Verdict, error) {
	v := guard.Pass()
	request := m.Direction == mcp.ToServer && m.Kind == mcp.Request
	var args edits
	for _, o := range both {
		if o.IsZero() {
			continue
		}
		if o.Approval != "" {
			v := guard.Refuse(ApprovalRequired, o.Approval)
			v.Hint = o.Approval
			return v, nil
		}
		for _, l := range o.Labels {
			v.Obligations = append(v.Obligations, guard.Obligation{Kind: guard.AddLabel, Name: l})
		}
		if (len(o.Set)+len(o.Clamp)+len(o.Mask)+len(o.Cap) > 0 || o.Constrain != nil) && !request {
			return guard.Verdict{}, errPlace
		}
		if len(o.Set)+len(o.Clamp) > 0 && m.Method != "tools/call" && m.Method != "prompts/get" {
			return guard.Verdict{}, errPlace
		}
		if err := args.clamp(m, o.Clamp); err != nil {
			return guard.Refuse(ArgumentNotAllowed, err.Error()), nil
		}
		for _, s := range o.Set {
			args.set(s.Path, s.Value)
		}
		if o.Constrain != nil {
			v.Obligations = append(v.Obligations, guard.Obligation{Kind: guard.Constrain, Value: string(o.Constrain)})
		}
		if len(o.Mask)+len(o.Cap) > 0 {
			if !q.g.decider.Masks() {
				return guard.Verdict{}, errors.New("policy: a decision masks although its policy says that none does")
			}
			have, _ := masked.Get(q.x)
			masked.Set(q.x, masks{append(have.mask, o.Mask...), append(have.cap, o.Cap...)})
		}
	}
	list, err := args.list(m)
	if err != nil {
		return guard.Refuse(ArgumentNotAllowed, err.Error()), nil
	}
	v.Edits = list
	if q.x.Revision.Modern() && m.Direction == mcp.ToClient {
		if no, err := q.nested(m.Params); no != nil || err != nil {
			return orZero(no), err
		}
	}
	return v, nil
}

// edits collects what arguments become; of two values for one path the later
// counts.
type edits []Set

func (e *edits) set(path string, value json.RawMessage) {
	for i := range *e {
		if (*e)[i].Path == path {
			(*e)[i].Value = value
			return
		}
	}
	*e = append(*e, Set{path, value})
}

const argumentsAt = "/params/arguments"

// clamp sets the numbers that are out of bounds.
func (e *edits) clamp(m *mcp.Message, list []Clamp) error {
	for _, c := range list {
		if err := respelt(m.Raw, c.Path); err != nil {
			return err
		}
		have, ok := mcp.Lookup(m.Raw, argumentsAt+c.Path)
		if !ok || string(have) == "null" {
			if c.Default != nil {
				e.set(c.Path, number(*c.Default))
			}
			continue
		}
		n, err := strconv.ParseFloat(string(have), 64)
		if err != nil && !math.IsInf(n, 0) {
			return fmt.Errorf("argument %s is bounded and no number", c.Path)
		}
		switch {
		case c.Max != nil && n > *c.Max:
			e.set(c.Path, number(*c.Max))
		case c.Min != nil && n < *c.Min:
			e.set(c.Path, number(*c.Min))
		}
	}
	return nil
}

func number(f float64) json.RawMessage {
	if f == math.Trunc(f) && math.Abs(f) < 1e15 {
		return strconv.AppendFloat(nil, f, 'f', 0, 64)
	}
	return strconv.AppendFloat(nil, f, 'g', -1, 64)
}

// list returns the edits of m. Objects on the way to a new argument are made
// where they are missing.
func (e edits) list(m *mcp.Message) ([]mcp.Edit, error) {
	if len(e) == 0 {
		return nil, nil
	}
	var out []mcp.Edit
	missing := make(map[string]edits) // by the first pointer that names nothing
	var order []string
	for _, s := range e {
		if err := respelt(m.Raw, s.Path); err != nil {
			return nil, err
		}
		at, rest, err := firstMissing(m.Raw, s.Path)
		if err != nil {
			return nil, err
		}
		if rest == "" {
			out = append(out, mcp.SetPointer(at, s.Value))
			continue
		}
		if missing[at] == nil {
			order = append(order, at)
		}
		missing[at] = append(missing[at], Set{rest, s.Value})
	}
	for _, at := range order {
		out = append(out, mcp.SetPointer(at, missing[at].object()))
	}
	return out, nil
}

// respelt refuses arguments that have a member on the way to path in another
// spelling as well: many a server reads names without regard to case, and would
// take that one for what the policy has set or bounded.
func respelt(raw []byte, path string) error {
	here, ok := mcp.Lookup(raw, argumentsAt)
	for rest := path; ok && rest != "" && len(here) > 0 && here[0] == '{'; {
		token, next := step(rest)
		name := unescape(token)
		for have := range mcp.Members(here) {
			if have != name && strings.EqualFold(have, name) {
				return fmt.Errorf("argument %s is there in another spelling", path)
			}
		}
		here, ok = mcp.Member(here, name)
		rest = next
	}
	return nil
}

// firstMissing goes down path as far as the message has objects. rest is what
// of the path has to be made below at; empty when the value itself goes to at.
func firstMissing(raw []byte, path string) (at, rest string, err error) {
	full := argumentsAt + path
	at = "/params"
	left := strings.TrimPrefix(full, at)
	for left != "" {
		next := left[1:]
		i := strings.IndexByte(next, '/')
		step, after := left, ""
		if i >= 0 {
			step, after = left[:i+1], left[i+1:]
		}
		here, _ := mcp.Lookup(raw, at)
		_, ok := mcp.Lookup(raw, at+step)
		if !ok {
			if len(here) == 0 || here[0] != '{' {
				return "", "", fmt.Errorf("arguments have no object for %s", path)
			}
			return at + step, after, nil
		}
		at, left = at+step, after
	}
	return at, "", nil
}

// object writes an object that holds the values at their paths.
func (e edits) object() json.RawMessage {
	below := make(map[string]edits)
	var order []string
	for _, s := range e {
		key, rest, deeper := strings.Cut(s.Path[1:], "/")
		if deeper {
			rest = "/" + rest
		}
		if below[key] == nil {
			order = append(order, key)
		}
		below[key] = append(below[key], Set{rest, s.Value})
	}
	out := []byte{'{'}
	for i, key := range order {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(mcp.AppendQuote(out, unescape(key)), ':')
		if list := below[key]; list[len(list)-1].Path == "" {
			out = append(out, list[len(list)-1].Value...)
		} else {
			out = append(out, list.object()...)
		}
	}
	return append(out, '}')
}

func unescape(token string) string {
	return strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
}
