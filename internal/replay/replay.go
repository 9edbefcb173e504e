// Package replay asks a policy what recorded receipts were about, and lists what
// it would decide otherwise.
package replay

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/policy"
)

// Examiner is a policy that says which members of its input an answer came from.
type Examiner interface {
	Examine(ctx context.Context, s policy.Step, in *policy.Input) (d *policy.Decision, read []string, err error)
	Revision() string
}

// Change is a decision that comes out otherwise.
type Change struct {
	Receipt  string    `json:"receipt"` // where it stands
	Time     time.Time `json:"time"`
	Exchange string    `json:"exchange"`
	Subject  string    `json:"subject,omitempty"`
	Tenant   string    `json:"tenant,omitempty"`
	Roles    []string  `json:"roles,omitempty"`
	Server   string    `json:"server"`
	Method   string    `json:"method"`
	Target   string    `json:"target,omitempty"`
	Before   string    `json:"before"`
	After    string    `json:"after"`
	Detail   string    `json:"detail,omitempty"` // the new policy's words
}

// Result is what a replay found.
type Result struct {
	Bundle      string            `json:"bundle"`            // revision that was asked
	Against     string            `json:"against,omitempty"` // revision that it is compared with; empty: what was recorded
	Receipts    uint64            `json:"receipts"`
	Replayed    uint64            `json:"replayed"`
	Skipped     uint64            `json:"skipped"` // no policy had been asked about a message as a whole
	Changes     []Change          `json:"changes"`
	Undecidable map[string]uint64 `json:"undecidable"` // why, and how many
}

// Replay compares a policy with what was recorded, or with another policy.
type Replay struct {
	New, Old Examiner // a nil Old stands for what was recorded
	Result   Result
}

// New returns a replay.
func New(bundle, against Examiner) *Replay {
	r := &Replay{New: bundle, Old: against, Result: Result{Bundle: bundle.Revision(), Changes: []Change{}, Undecidable: map[string]uint64{}}}
	if against != nil {
		r.Result.Against = against.Revision()
	}
	return r
}

// Receipt replays one receipt.
func (r *Replay) Receipt(ctx context.Context, at string, line []byte) error {
	var rec receipt
	if err := json.Unmarshal(line, &rec); err != nil {
		return fmt.Errorf("replay: %s: %w", at, err)
	}
	r.Result.Receipts++
	before, said := rec.said()
	if !said {
		r.Result.Skipped++
		return nil
	}
	q := rec.question()
	after, why := ask(ctx, r.New, q)
	if r.Old != nil && why == "" {
		before, why = ask(ctx, r.Old, q)
	}
	if why != "" {
		r.Result.Undecidable[why]++
		return nil
	}
	r.Result.Replayed++
	if before.word != after.word {
		r.Result.Changes = append(r.Result.Changes, Change{
			Receipt: at, Time: rec.Time, Exchange: rec.Exchange, Subject: rec.Subject, Tenant: rec.Tenant, Roles: rec.Roles,
			Server: rec.Server, Method: rec.Method, Target: rec.Name, Before: before.word, After: after.word, Detail: after.detail,
		})
	}
	return nil
}

// answer is a decision in a word or two.
type answer struct{ word, detail string }

// ask asks both questions; why says what would have to be known for an answer.
func ask(ctx context.Context, e Examiner, q *question) (a answer, why string) {
	in := q.in
	in.Params = nil
	for _, s := range []policy.Step{policy.Access, policy.Call} {
		d, read, err := e.Examine(ctx, s, &in)
		for _, name := range read {
			if s == policy.Access && (name == "arguments" || name == "params") {
				continue // it never sees any
			}
			if why := q.unknown[name]; why != "" {
				return answer{}, why
			}
		}
		switch {
		case err != nil:
			return answer{"error", err.Error()}, ""
		case !d.Allow:
			return answer{"deny " + or(string(d.Reason), string(policy.PolicyDenied)), d.Detail}, ""
		case d.Approval != "":
			return answer{"deny " + string(policy.ApprovalRequired), d.Approval}, ""
		}
		in.Params = q.in.Params
	}
	return answer{"allow", ""}, ""
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// answer is what the policy guard said at the time.
func (v *verdict) answer() (answer, bool) {
	if v.Error != "" {
		return answer{word: "error"}, true
	}
	action := guard.Deny
	if v.Action == guard.Allow.String() {
		action = guard.Allow
	}
	said, ok := policy.Read(action, guard.Reason(v.Reason), v.Detail)
	if said.Allow {
		return answer{word: "allow"}, ok
	}
	return answer{word: "deny " + string(said.Reason)}, ok
}
