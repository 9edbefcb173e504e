package shadow

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/guard/policy"
)

// Agreement says how two answers to one question compare.
type Agreement uint8

// The agreements.
const (
	Agree       Agreement = iota
	AllowToDeny           // the base allows, the other refuses
	DenyToAllow
	Reason      // both refuse, for different reasons
	Obligations // both allow, on different conditions
	Error       // one of them reached no answer
	agreements
)

// String returns the agreement in snake_case.
func (a Agreement) String() string {
	return [...]string{"agree", "allow_to_deny", "deny_to_allow", "reason", "obligations", "error"}[a]
}

func compare(before, after *policy.Decision) Agreement {
	switch {
	case before == nil && after == nil:
		return Agree
	case before == nil || after == nil:
		return Error
	case before.Allow && !after.Allow:
		return AllowToDeny
	case !before.Allow && after.Allow:
		return DenyToAllow
	case !before.Allow:
		if reason(before) != reason(after) {
			return Reason
		}
	case !same(&before.Obligations, &after.Obligations):
		return Obligations
	}
	return Agree
}

func reason(d *policy.Decision) string {
	if d.Reason == "" {
		return string(policy.PolicyDenied)
	}
	return string(d.Reason)
}

func same(a, b *policy.Obligations) bool {
	if a.IsZero() && b.IsZero() {
		return true
	}
	return bytes.Equal(a.Constrain, b.Constrain) && reflect.DeepEqual(norm(a), norm(b))
}

// norm is o in an order that does not depend on how its policy wrote sets down.
func norm(o *policy.Obligations) policy.Obligations {
	n := *o
	n.Constrain = nil
	n.Labels = slices.Sorted(slices.Values(o.Labels))
	n.Set, n.Clamp, n.Mask, n.Cap = sorted(o.Set), sorted(o.Clamp), sorted(o.Mask), sorted(o.Cap)
	return n
}

func sorted[T any](list []T) []T {
	key := func(v T) string { b, _ := json.Marshal(v); return string(b) } // plain data, which always can
	return slices.SortedFunc(slices.Values(list), func(x, y T) int { return strings.Compare(key(x), key(y)) })
}

// word says in a word or two what an answer is.
func word(d *policy.Decision) string {
	switch {
	case d == nil:
		return "error"
	case d.Allow:
		return "allow"
	}
	return "deny " + reason(d)
}

// Group is disagreements that are alike.
type Group struct {
	Server    string `json:"server"`
	Kind      string `json:"kind,omitempty"`
	Target    string `json:"target,omitempty"`
	Step      string `json:"step"`
	Agreement string `json:"agreement"`
	Before    string `json:"before"`
	After     string `json:"after"`
}

// GroupCount is how many a group has.
type GroupCount struct {
	Group
	Count uint64 `json:"count"`
}

// Disagreement is one of them: who, what, and the digest of its arguments.
type Disagreement struct {
	Group
	Time            time.Time `json:"time"`
	Subject         string    `json:"subject,omitempty"`
	Issuer          string    `json:"issuer,omitempty"`
	Agent           string    `json:"agent,omitempty"`
	Client          string    `json:"client,omitempty"`
	Tenant          string    `json:"tenant,omitempty"`
	Roles           []string  `json:"roles,omitempty"`
	Method          string    `json:"method"`
	ArgumentsSHA256 string    `json:"arguments_sha256,omitempty"`
}

// Bounds of a report: names come from callers.
const (
	maxGroups = 500
	maxLatest = 100
	maxName   = 256
)

// Report counts how the decisions of two policies compare. It holds names and
// digests, and no values of arguments.
type Report struct {
	base, other string
	since       time.Time

	mu     sync.Mutex
	counts [agreements]uint64
	groups map[Group]uint64
	more   uint64 // disagreements of groups that found no room
	latest []Disagreement
	next   int // the oldest of latest, once that is full
}

// NewReport returns a report about two revisions.
func NewReport(base, other string, now time.Time) *Report {
	return &Report{base: base, other: other, since: now, groups: make(map[Group]uint64)}
}

// About reports whether the report is about these two revisions.
func (r *Report) About(base, other string) bool { return r.base == base && r.other == other }

// target is what may be written down of what was asked about.
func (t *task) target() string {
	if k := t.in.Target.Kind; k == policy.Resource || k == policy.Template {
		return t.of.URIs.URI(t.in.Target.Name)
	}
	return t.in.Target.Name
}

func (r *Report) add(t *task, a Agreement, before, after *policy.Decision) {
	if a == Agree {
		r.mu.Lock()
		r.counts[a]++
		r.mu.Unlock()
		return
	}
	p := &t.principal
	g := Group{
		Server: t.server.Name, Kind: string(t.in.Target.Kind), Target: cut(t.target()), Step: t.step.String(),
		Agreement: a.String(), Before: word(before), After: word(after),
	}
	d := Disagreement{
		Group: g, Time: t.in.Time.UTC(), Subject: cut(p.Subject), Issuer: cut(p.Issuer), Agent: cut(p.Agent), Client: cut(p.Client),
		Tenant: cut(p.Tenant), Roles: p.Roles, Method: cut(t.in.Method),
	}
	if args := t.in.Arguments(); args != nil {
		sum := sha256.Sum256(args)
		d.ArgumentsSHA256 = hex.EncodeToString(sum[:])
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[a]++
	if _, ok := r.groups[g]; ok || len(r.groups) < maxGroups {
		r.groups[g]++
	} else {
		r.more++
	}
	if len(r.latest) < maxLatest {
		r.latest = append(r.latest, d)
		return
	}
	r.latest[r.next] = d
	r.next = (r.next + 1) % maxLatest
}

func cut(s string) string {
	if len(s) > maxName {
		return strings.ToValidUTF8(s[:maxName], "") + "..."
	}
	return s
}

// Summary is a report at one moment.
type Summary struct {
	Base      string            `json:"base"`  // revision that decides
	Other     string            `json:"other"` // revision that is compared with it
	Since     time.Time         `json:"since"`
	Compared  uint64            `json:"compared"`
	Disagreed uint64            `json:"disagreed"`
	Counts    map[string]uint64 `json:"counts"`
	Groups    []GroupCount      `json:"groups"` // most frequent first
	More      uint64            `json:"ungrouped,omitempty"`
	Latest    []Disagreement    `json:"latest"` // newest first
}

// Summary returns the report so far, with at most n disagreements.
func (r *Report) Summary(n int) Summary {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Summary{Base: r.base, Other: r.other, Since: r.since, Counts: make(map[string]uint64), Groups: []GroupCount{}, More: r.more, Latest: []Disagreement{}}
	for a, c := range r.counts {
		s.Counts[Agreement(a).String()] = c
		s.Compared += c
	}
	s.Disagreed = s.Compared - r.counts[Agree]
	for g, c := range r.groups {
		s.Groups = append(s.Groups, GroupCount{g, c})
	}
	slices.SortFunc(s.Groups, func(x, y GroupCount) int {
		if x.Count != y.Count {
			if x.Count > y.Count {
				return -1
			}
			return 1
		}
		return strings.Compare(x.Server+"\x00"+x.Target+"\x00"+x.Before+x.After, y.Server+"\x00"+y.Target+"\x00"+y.Before+y.After)
	})
	for i := range r.latest {
		if len(s.Latest) == n {
			break
		}
		s.Latest = append(s.Latest, r.latest[(r.next+len(r.latest)-1-i)%len(r.latest)])
	}
	return s
}

// Counts returns how often each agreement was found.
func (r *Report) Counts() map[string]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make(map[string]uint64, agreements)
	for a, c := range r.counts {
		out[Agreement(a).String()] = c
	}
	return out
}
