package cedar

import (
	"fmt"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"github.com/sallyport/sallyport/guard/policy"
)

// rule is one policy, and what it says when it matches.
type rule struct {
	id       types.PolicyID
	policy   *cedar.Policy
	scope    *cedar.Policy    // of a policy that reads what belongs to one call: the policy without its conditions
	reads    []string         // of it: the members of the context that belong to one call
	no       *policy.Decision // of a forbid
	adds     *policy.Obligations
	tenantAt string // argument that gets the principal's tenant; empty for none
	err      string // of the last evaluation
}

func (r *rule) failure() error { return fmt.Errorf("cedar: evaluate %s: %s", r.id, r.err) }

// add returns d with what r adds to it.
func (r *rule) add(d *policy.Decision, in *policy.Input) (*policy.Decision, error) {
	if r.adds == nil && r.tenantAt == "" {
		return d, nil
	}
	out := *d
	o := &out.Obligations
	if a := r.adds; a != nil {
		o.Labels = append(o.Labels[:len(o.Labels):len(o.Labels)], a.Labels...)
		o.Set = append(o.Set[:len(o.Set):len(o.Set)], a.Set...)
		o.Clamp = append(o.Clamp[:len(o.Clamp):len(o.Clamp)], a.Clamp...)
		o.Mask = append(o.Mask[:len(o.Mask):len(o.Mask)], a.Mask...)
		o.Cap = append(o.Cap[:len(o.Cap):len(o.Cap)], a.Cap...)
		switch {
		case o.Approval == "":
			o.Approval = a.Approval
		case a.Approval != "":
			o.Approval += " " + a.Approval
		}
		if a.Constrain != nil {
			if o.Constrain != nil && string(o.Constrain) != string(a.Constrain) {
				return nil, fmt.Errorf("cedar: %s: another policy that matches constrains the call too, and in other words", r.id)
			}
			o.Constrain = a.Constrain
		}
	}
	if r.tenantAt != "" {
		o.Set = append(o.Set[:len(o.Set):len(o.Set)], policy.Set{Path: r.tenantAt, Value: quoted(in.Principal.Tenant)})
	}
	return &out, nil
}

// rules are policies in the order of their files.
type rules []*rule

// match evaluates all, and returns those that match and those that failed.
func (list rules) match(p *Policy, q *question) (matching, failed []*rule) {
	if len(list) == 0 {
		return nil, nil
	}
	_, diagnostic := cedar.Authorize(policyList{list, false}, q, q.request)
	for _, r := range diagnostic.Reasons {
		matching = append(matching, list.find(r.PolicyID))
		if p.said != nil {
			p.said[string(r.PolicyID)] = true
		}
	}
	for _, e := range diagnostic.Errors {
		r := *list.find(e.PolicyID)
		r.err = e.Message
		failed = append(failed, &r)
	}
	return matching, failed
}

// perCall returns what those read that could be about q.
func (list rules) perCall(q *question) (members []string) {
	for _, r := range list {
		if r.scope == nil {
			continue
		}
		if d, _ := cedar.Authorize(policyList{rules{r}, true}, q, q.request); d == cedar.Allow {
			members = append(members, r.reads...)
		}
	}
	return members
}

func (list rules) find(id types.PolicyID) *rule {
	for _, r := range list {
		if r.id == id {
			return r
		}
	}
	return nil // cannot be: the evaluator was given these
}
