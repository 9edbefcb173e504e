// Package cases asks policies about tables of questions: which answers are as
// somebody wants them, and which differ between two policies.
package cases

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/mcp"
)

// Case is one question of a table, in the words of the input document. What it
// leaves out is empty; the method follows from the kind of target, and the
// direction is to_server unless said.
type Case struct {
	Name string `json:"name"`
	In   *policy.Input
	Want string // allow, or the reason of a refusal; empty where nobody said
}

// Answer is what a policy says about a case, both steps together.
type Answer struct {
	Allow  bool   `json:"allow"`
	Step   string `json:"step,omitempty"` // that refused
	Reason string `json:"reason,omitempty"`
	Detail string `json:"detail,omitempty"`
	Error  string `json:"error,omitempty"`
}

// String returns the answer in a word or two.
func (a Answer) String() string {
	switch {
	case a.Error != "":
		return "error: " + a.Error
	case a.Allow:
		return "allow"
	}
	return "deny " + a.Reason
}

// ask asks both questions about in.
func ask(ctx context.Context, d policy.Decider, in *policy.Input) Answer {
	one := *in
	one.Params = nil
	for _, s := range []policy.Step{policy.Access, policy.Call} {
		got, err := d.Decide(ctx, s, &one)
		switch {
		case err != nil:
			return Answer{Step: s.String(), Error: err.Error()}
		case !got.Allow:
			reason := got.Reason
			if reason == "" {
				reason = policy.PolicyDenied
			}
			return Answer{Step: s.String(), Reason: string(reason), Detail: got.Detail}
		case got.Approval != "":
			return Answer{Step: s.String(), Reason: string(policy.ApprovalRequired), Detail: got.Approval}
		}
		one.Params = in.Params
	}
	return Answer{Allow: true}
}

// Failure is a case whose answer is not the one that was wanted.
type Failure struct {
	Name string `json:"name"`
	Want string `json:"want"`
	Got  Answer `json:"got"`
}

// Check returns the cases whose answers are not as wanted. What nobody said of a
// case is not wanted.
func Check(ctx context.Context, d policy.Decider, cases []Case) (failures []Failure) {
	for _, c := range cases {
		got := ask(ctx, d, c.In)
		is := got.Reason
		if got.Allow {
			is = "allow"
		}
		if c.Want != "" && (got.Error != "" || is != c.Want) {
			failures = append(failures, Failure{c.Name, c.Want, got})
		}
	}
	return failures
}

// Change is a case that two bundles answer differently.
type Change struct {
	Name   string `json:"name"`
	Before Answer `json:"before"`
	After  Answer `json:"after"`
}

// Diff returns the cases whose answers differ.
func Diff(ctx context.Context, before, after policy.Decider, cases []Case) []Change {
	changes := []Change{}
	for _, c := range cases {
		a, b := ask(ctx, before, c.In), ask(ctx, after, c.In)
		if a.String() != b.String() {
			changes = append(changes, Change{c.Name, a, b})
		}
	}
	return changes
}

// Read reads a table of cases: a JSON array of objects.
func Read(data []byte) ([]Case, error) {
	var rows []struct {
		Name      string `json:"name"`
		Principal struct {
			Subject  string   `json:"subject"`
			Issuer   string   `json:"issuer"`
			Agent    string   `json:"agent"`
			Actors   []string `json:"actors"`
			Client   string   `json:"client"`
			Tenant   string   `json:"tenant"`
			Roles    []string `json:"roles"`
			Scopes   []string `json:"scopes"`
			Task     string   `json:"task"`
			TaskType string   `json:"task_type"`
			Peer     string   `json:"peer"`
		} `json:"principal"`
		Authentication struct {
			Strength string    `json:"strength"`
			AuthTime time.Time `json:"auth_time"`
		} `json:"authentication"`
		Server struct {
			Name           string `json:"name"`
			Owner          string `json:"owner"`
			Domain         string `json:"domain"`
			Classification string `json:"data_classification"`
			Clearance      string `json:"clearance"`
		} `json:"server"`
		Target struct {
			Kind policy.TargetKind `json:"kind"`
			Name string            `json:"name"`
		} `json:"target"`
		Tool *struct { // as registered; for a target that is a tool
			Classification string `json:"data_classification"`
			Clearance      string `json:"clearance"`
			Risk           string `json:"risk"`
			Sensitive      bool   `json:"sensitive"`
			ReadOnly       bool   `json:"read_only"`
			Destructive    bool   `json:"destructive"`
			Idempotent     bool   `json:"idempotent"`
			External       bool   `json:"external"`
			Financial      bool   `json:"financial"`
		} `json:"tool"`
		Method    string          `json:"method"`
		Direction string          `json:"direction"`
		Source    netip.Addr      `json:"source"`
		Labels    []string        `json:"labels"`
		Time      time.Time       `json:"time"`
		Arguments json.RawMessage `json:"arguments"`
		Want      string          `json:"want"`
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&rows); err != nil {
		return nil, fmt.Errorf("cases: %w", err)
	}
	methods := map[policy.TargetKind]string{policy.Tool: "tools/call", policy.Prompt: "prompts/get", policy.Resource: "resources/read",
		policy.Template: "completion/complete", policy.Task: "tasks/get", policy.NoTarget: "tools/list"}
	cases := make([]Case, 0, len(rows))
	for i, r := range rows {
		if r.Name == "" {
			r.Name = fmt.Sprintf("case %d", i+1)
		}
		p := r.Principal
		in := &policy.Input{
			Principal: &guard.Principal{Subject: p.Subject, Issuer: p.Issuer, Agent: p.Agent, Actors: p.Actors, Client: p.Client, Tenant: p.Tenant,
				Roles: p.Roles, Scopes: p.Scopes, Task: p.Task, TaskType: p.TaskType, Peer: p.Peer, Strength: r.Authentication.Strength, AuthTime: r.Authentication.AuthTime},
			Server: &guard.Server{Name: r.Server.Name, Owner: r.Server.Owner, Domain: r.Server.Domain, Classification: r.Server.Classification, Clearance: r.Server.Clearance},
			Target: policy.Target{Kind: r.Target.Kind, Name: r.Target.Name}, Method: r.Method, Kind: mcp.Request,
			Revision: mcp.R20251125, Source: r.Source, Labels: r.Labels, Time: r.Time,
		}
		if r.Tool != nil {
			in.Server.Tools = map[string]guard.Tool{r.Target.Name: guard.Tool(*r.Tool)}
		}
		if in.Principal.IsAnonymous() && len(p.Roles)+len(p.Scopes)+len(p.Tenant) > 0 {
			return nil, fmt.Errorf("cases: %s: a principal without subject, client and peer is nobody, and has no roles, scopes or tenant", r.Name)
		}
		if in.Method == "" {
			in.Method = methods[in.Target.Kind]
		}
		if r.Direction == mcp.ToClient.String() {
			in.Direction = mcp.ToClient
		}
		if r.Arguments != nil {
			in.Params = append(append([]byte(`{"arguments":`), r.Arguments...), '}')
		}
		cases = append(cases, Case{r.Name, in, r.Want})
	}
	return cases, nil
}
