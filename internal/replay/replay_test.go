package replay

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard/policy"
)

// asked allows, and says that it read what it is called.
type asked struct {
	reads []string
	seen  *policy.Input
	err   error
}

func (a *asked) Examine(_ context.Context, s policy.Step, in *policy.Input) (*policy.Decision, []string, error) {
	if s == policy.Access && in.Params != nil {
		return nil, nil, errors.New("access sees params")
	}
	c := *in
	a.seen = &c
	return &policy.Decision{Allow: true}, a.reads, a.err
}

func (a *asked) Revision() string { return "2.0.0+x" }

func line(members string) string {
	return `{"v":1,"time":"2026-11-01T12:00:00.000000005Z","exchange":"e","direction":"to_server","server":"crm","server_owner":"o","server_classification":"internal","revision":"2025-11-25",` +
		`"subject":"sue","source":"192.0.2.7:1","kind":"request","method":"tools/call","name":"pay","server_clearance":"internal","labels":["a","task:pii","c"],` +
		`"guards":[{"name":"envelope","action":"allow","took_us":1},{"name":"policy","action":"allow","labels_seen":2,"took_us":1}],"took_us":2` + members + `}`
}

func TestWhatAReceiptDoesNotHoldIsNotGuessed(t *testing.T) {
	for _, tt := range []struct {
		name, members, reads, want string
	}{
		{"nothing but the principal", `,"roles":["r"]`, "principal", "replayed"},
		{"a receipt of before roles were recorded", ``, "principal", "did not record roles"},
		{"no roles", `,"roles":[]`, "principal", "replayed"},
		{"arguments that were not kept", `,"roles":[]`, "arguments", "replayed"}, // access reads none
		{"arguments that were", `,"roles":[],"arguments":{"x":1}`, "call arguments", "replayed"},
		{"arguments, and none were kept", `,"roles":[]`, "call arguments", "reads arguments"},
		{"params, and arguments were kept", `,"roles":[],"arguments":{"x":1}`, "call params", "reads params"},
		{"params that were kept", `,"roles":[],"params":{"name":"pay","arguments":{"x":1}}`, "call params arguments", "replayed"},
		{"a caller who is sealed", `,"roles":[],"pseudonym":"0123456789abcdef","sealed":[{"what":"identity"}]`, "principal", "sealed"},
		{"an address that is sealed", `,"roles":[],"sealed":[{"what":"identity"}]`, "source", "sealed"},
		{"content that is sealed says nothing of callers", `,"roles":[],"sealed":[{"what":"result"}]`, "principal source", "replayed"},
		{"a name that is too long for the receipt", `,"roles":[],"tenant":"` + strings.Repeat("x", maxText+20) + `"`, "principal", "too long"},
	} {
		e := &asked{}
		byStep := strings.HasPrefix(tt.reads, "call ")
		e.reads = strings.Fields(strings.TrimPrefix(tt.reads, "call "))
		r := New(e, nil)
		if !byStep && tt.reads == "arguments" {
			r.New = &onlyAccess{asked: e}
		}
		if err := r.Receipt(context.Background(), "f:1", []byte(line(tt.members))); err != nil {
			t.Fatal(err)
		}
		got := "replayed"
		for why := range r.Result.Undecidable {
			got = why
		}
		if !strings.Contains(got, tt.want) || r.Result.Replayed == 1 != (tt.want == "replayed") {
			t.Errorf("%s: %s, %+v", tt.name, got, r.Result)
		}
	}
}

// A policy that reads a URI of which the receipt holds a part only is not asked about
// that part, as if it were the whole.
func TestAURIThatIsNotInClearAsAWholeIsNotGuessed(t *testing.T) {
	read := func(members string) string {
		return `{"v":1,"time":"2026-11-01T12:00:00Z","exchange":"e","direction":"to_server","server":"crm","kind":"request","method":"resources/read","roles":[],` +
			`"guards":[{"name":"policy","action":"allow","took_us":1}],"took_us":2,` + members + `}`
	}
	for _, tt := range []struct{ members, reads, want, target string }{
		{`"name":"crm://h/a?[query]","name_hmac":"00"`, "target", "does not hold as a whole", ""},
		{`"name":"crm://h/a?[query]","name_hmac":"00"`, "principal", "replayed", ""},
		{`"name":"crm://h/a"`, "target", "replayed", "crm://h/a"},
		{`"name":"crm://h/a?[query]","name_hmac":"00","params":{"uri":"crm://h/a?b=c"}`, "target", "replayed", "crm://h/a?b=c"},
		{`"name":"[uri]","name_hmac":"00"`, "target", "does not hold as a whole", ""},
	} {
		e := &asked{reads: []string{tt.reads}}
		r := New(e, nil)
		if err := r.Receipt(context.Background(), "f:1", []byte(read(tt.members))); err != nil {
			t.Fatal(err)
		}
		got := "replayed"
		for why := range r.Result.Undecidable {
			got = why
		}
		if !strings.Contains(got, tt.want) || e.seen.Target.Name != tt.target {
			t.Errorf("%s: %s, asked about %q", tt.members, got, e.seen.Target.Name)
		}
	}
}

// onlyAccess reads arguments in the first question alone, which has none.
type onlyAccess struct{ *asked }

func (o *onlyAccess) Examine(ctx context.Context, s policy.Step, in *policy.Input) (*policy.Decision, []string, error) {
	d, read, err := o.asked.Examine(ctx, s, in)
	if s == policy.Call {
		read = nil
	}
	return d, read, err
}

func TestAReplayAsksWhatWasAsked(t *testing.T) {
	e := &asked{}
	text := line(`,"roles":["r"],"task_type":"refund","strength":"mfa","auth_time":"2026-11-01T11:00:00Z","tool":{"facts":["financial"],"risk":"high"},"arguments":{"x":1}`)
	if err := New(e, nil).Receipt(context.Background(), "f:1", []byte(text)); err != nil {
		t.Fatal(err)
	}
	in := e.seen
	tool, known := in.Server.Tool("pay")
	got := fmt.Sprint(in.Principal.Subject, in.Principal.Roles, in.Principal.TaskType, in.Principal.Strength, in.Principal.AuthTime.Hour(), in.Server.Owner, in.Server.Classification,
		in.Target, in.Method, in.Kind, in.Source, in.Flow().Task, in.Clearance(), in.Labels, in.Time.Nanosecond(), in.Revision, known, tool.Financial, tool.Risk, string(in.Params))
	if want := `sue[r]refundmfa11ointernal{tool pay}tools/callrequest192.0.2.7[pii]internal[a task:pii]52025-11-25truetruehigh{"arguments":{"x":1}}`; strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestWhatWasRecordedIsReadFromTheJournal(t *testing.T) {
	base := line(`,"roles":[]`)
	for from, want := range map[string]string{
		`"action":"allow","labels_seen":2`: "",
		`"action":"deny","reason":"unknown_target","detail":"tool_not_allowed in access: no role"`:        "deny tool_not_allowed -> allow",
		`"action":"deny","reason":"argument_not_allowed","detail":"call: /x is more than 5"`:              "deny argument_not_allowed -> allow",
		`"action":"deny","reason":"approval_required","detail":"the manager"`:                             "deny approval_required -> allow",
		`"action":"deny","reason":"guard_error","error":"took too long"`:                                  "error -> allow",
		`"action":"deny","reason":"argument_not_allowed","detail":"argument /x is bounded and no number"`: "skipped",
		`"action":"deny","reason":"policy_denied","detail":"the URI is none by RFC 3986"`:                 "skipped",
	} {
		r := New(&asked{}, nil)
		if err := r.Receipt(context.Background(), "f:1", []byte(strings.Replace(base, `"action":"allow","labels_seen":2`, from, 1))); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, c := range r.Result.Changes {
			got = c.Before + " -> " + c.After
		}
		if r.Result.Skipped > 0 {
			got = "skipped"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", from, got, want)
		}
	}
	r := New(&asked{err: errors.New("deadline")}, nil)
	if err := r.Receipt(context.Background(), "f:1", []byte(base)); err != nil || len(r.Result.Changes) != 1 || r.Result.Changes[0].After != "error" {
		t.Errorf("a policy without an answer: %+v, %v", r.Result, err)
	}
	if err := r.Receipt(context.Background(), "f:2", []byte("{")); err == nil || !strings.Contains(err.Error(), "f:2") {
		t.Errorf("half a line: %v", err)
	}
}
