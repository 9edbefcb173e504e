package shadow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/policy"
)

type decider struct {
	name string
	by   func(policy.Step, *policy.Input) (*policy.Decision, error)
}

func (d *decider) Decide(_ context.Context, s policy.Step, in *policy.Input) (*policy.Decision, error) {
	return d.by(s, in)
}
func (d *decider) Masks() bool      { return false }
func (d *decider) Revision() string { return d.name }

func answers(d *policy.Decision, err error) *decider {
	return &decider{by: func(policy.Step, *policy.Input) (*policy.Decision, error) { return d, err }}
}

func TestHowTwoAnswersCompare(t *testing.T) {
	allow, deny := &policy.Decision{Allow: true}, &policy.Decision{Reason: policy.ToolNotAllowed}
	masks := func(paths ...string) *policy.Decision {
		d := &policy.Decision{Allow: true}
		for _, p := range paths {
			d.Mask = append(d.Mask, policy.Mask{Path: p})
		}
		return d
	}
	for _, tt := range []struct {
		before, after *policy.Decision
		want          Agreement
	}{
		{allow, allow, Agree},
		{deny, deny, Agree},
		{&policy.Decision{}, &policy.Decision{Reason: policy.PolicyDenied, Detail: "in other words"}, Agree},
		{nil, nil, Agree},
		{allow, nil, Error},
		{nil, deny, Error},
		{allow, deny, AllowToDeny},
		{deny, allow, DenyToAllow},
		{deny, &policy.Decision{Reason: policy.ReadOnly}, Reason},
		{masks("/a", "/b"), masks("/b", "/a"), Agree},
		{masks("/a"), masks("/a", "/b"), Obligations},
		{masks("/a"), allow, Obligations},
		{allow, &policy.Decision{Allow: true, Obligations: policy.Obligations{Constrain: json.RawMessage(`{}`)}}, Obligations},
	} {
		if got := compare(tt.before, tt.after); got != tt.want {
			t.Errorf("%+v and %+v: %s, want %s", tt.before, tt.after, got, tt.want)
		}
	}
}

// run compares what is in the queue.
func run(q *Queue) {
	for {
		select {
		case t := <-q.tasks:
			t.run(context.Background())
		default:
			return
		}
	}
}

func TestDisagreementsAreReportedWithoutArguments(t *testing.T) {
	base := answers(&policy.Decision{Allow: true}, nil)
	other := &decider{by: func(_ policy.Step, in *policy.Input) (*policy.Decision, error) {
		if string(in.Arguments()) != `{"iban":"CH93 0076"}` || in.Principal.Subject != "sue" || in.Target.Name != "pay" || in.Labels[0] != "seen" {
			return nil, fmt.Errorf("the input has changed: %+v", in)
		}
		return &policy.Decision{Reason: policy.ArgumentNotAllowed, Detail: "CH93 0076 is blocked"}, nil
	}}
	report := NewReport("1.0.0+a", "1.1.0+b", time.Now())
	w := &Watched{Decider: base, Pair: &Pair{Base: base, Other: other, Queue: NewQueue(8), Sample: 1, Report: report}}
	params, p, labels := []byte(`{"name":"pay","arguments":{"iban":"CH93 0076"}}`), guard.Principal{Subject: "sue", Tenant: "acme", Roles: []string{"support"}}, []string{"seen"}
	in := &policy.Input{Principal: &p, Server: &guard.Server{Name: "crm"}, Method: "tools/call", Target: policy.Target{Kind: policy.Tool, Name: "pay"}, Labels: labels, Params: params}
	for range 3 {
		if d, err := w.Decide(context.Background(), policy.Call, in); err != nil || !d.Allow {
			t.Fatalf("the shadow decides: %+v, %v", d, err)
		}
	}
	clear(params) // the exchange is over, and its memory is somebody else's
	p, labels[0], in.Target.Name = guard.Principal{}, "gone", "gone"
	run(w.Pair.Queue)
	s := report.Summary(2)
	if s.Compared != 3 || s.Disagreed != 3 || s.Counts["allow_to_deny"] != 3 || len(s.Latest) != 2 || len(s.Groups) != 1 || s.Groups[0].Count != 3 {
		t.Fatalf("got %+v", s)
	}
	if d := s.Latest[0]; d.Subject != "sue" || d.Tenant != "acme" || d.Server != "crm" || d.Target != "pay" || d.Before != "allow" || d.After != "deny argument_not_allowed" || len(d.ArgumentsSHA256) != 64 {
		t.Errorf("got %+v", d)
	}
	text, err := json.Marshal(s)
	if err != nil || strings.Contains(string(text), "CH93") {
		t.Errorf("a value of an argument is told: %s, %v", text, err)
	}
}

func TestNobodyWaitsForAComparison(t *testing.T) {
	base := answers(&policy.Decision{Allow: true}, nil)
	pair := &Pair{Base: base, Other: answers(nil, errors.New("stuck")), Queue: NewQueue(2), Sample: 1, Report: NewReport("a", "b", time.Now())}
	in := &policy.Input{Principal: &guard.Principal{}, Server: &guard.Server{}}
	for range 5 {
		pair.Note(false, policy.Access, in, &policy.Decision{Allow: true}, nil)
	}
	if got := pair.Queue.Dropped(); got != 3 {
		t.Errorf("%d dropped, want 3", got)
	}
	run(pair.Queue)
	if c := pair.Report.Counts(); c["error"] != 2 || c["agree"] != 0 {
		t.Errorf("got %v", c)
	}
	pair.Sample = 0
	pair.Note(false, policy.Access, in, nil, nil)
	if len(pair.Queue.tasks) != 0 {
		t.Error("what is not in the sample was queued")
	}
}

func TestACanaryIsComparedInBothDirections(t *testing.T) {
	base, other := answers(&policy.Decision{Allow: true}, nil), answers(&policy.Decision{}, nil)
	var told []string
	pair := &Pair{Base: base, Other: other, Queue: NewQueue(4), Sample: 1, Report: NewReport("a", "b", time.Now()),
		Done: func(agree, failed, asked bool) { told = append(told, fmt.Sprint(agree, failed, asked)) }}
	in := &policy.Input{Principal: &guard.Principal{}, Server: &guard.Server{}}
	pair.Note(false, policy.Access, in, &policy.Decision{Allow: true}, nil)
	pair.Note(true, policy.Access, in, &policy.Decision{}, nil) // the other has decided
	run(pair.Queue)
	if c := pair.Report.Counts(); c["allow_to_deny"] != 2 {
		t.Errorf("got %v", c)
	}
	if got := strings.Join(told, ", "); got != "false false true, false false false" {
		t.Errorf("got %s", got)
	}
}

func TestAReportIsBounded(t *testing.T) {
	r := NewReport("a", "b", time.Now())
	for i := range 3 * maxGroups {
		name := strings.Repeat("x", 4*maxName) + fmt.Sprint(i)
		tk := &task{in: policy.Input{Target: policy.Target{Kind: policy.Tool, Name: fmt.Sprint(i) + name}}}
		r.add(tk, AllowToDeny, &policy.Decision{Allow: true}, &policy.Decision{})
	}
	s := r.Summary(1000)
	if len(s.Groups) != maxGroups || s.More != 2*maxGroups || len(s.Latest) != maxLatest || s.Disagreed != 3*maxGroups {
		t.Errorf("%d groups, %d more, %d single ones, %d disagree", len(s.Groups), s.More, len(s.Latest), s.Disagreed)
	}
	if !strings.HasPrefix(s.Latest[0].Target, fmt.Sprint(3*maxGroups-1)) || len(s.Latest[0].Target) > maxName+3 {
		t.Errorf("the newest is %s", s.Latest[0].Target)
	}
}

func BenchmarkNote(b *testing.B) {
	d := answers(&policy.Decision{Allow: true}, nil)
	pair := &Pair{Base: d, Other: d, Queue: NewQueue(1024), Sample: 1, Report: NewReport("a", "b", time.Now())}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go pair.Queue.Run(ctx)
	in := &policy.Input{Principal: &guard.Principal{Subject: "sue", Roles: []string{"support"}}, Server: &guard.Server{Name: "crm"}, Method: "tools/call",
		Target: policy.Target{Kind: policy.Tool, Name: "search"}, Params: []byte(`{"name":"search","arguments":{"q":"` + strings.Repeat("x", 200) + `"}}`)}
	b.ReportAllocs()
	for b.Loop() {
		pair.Note(false, policy.Call, in, &policy.Decision{Allow: true}, nil)
	}
	b.ReportMetric(float64(pair.Queue.Dropped())/float64(b.N), "dropped/op")
}
