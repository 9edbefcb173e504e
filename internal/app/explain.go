package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/guard/standard"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/mcp"
)

// Validate checks a configuration as far as it can be checked without serving.
func Validate(path string) error {
	cfg, err := config.Load(path, ConfigOptions())
	if err != nil {
		return err
	}
	l := &lasting{dir: filepath.Dir(path)}
	if _, err := l.snapshot(cfg); err != nil {
		return err
	}
	if c, ok := cfg.Guards["policy"].Config.(*policy.Config); ok {
		if err := l.releases.why(shadowConfig(termsOf(cfg, *c))); err != nil {
			return fmt.Errorf("guards.policy.shadow.bundle: %w", err) // a gateway serves without
		}
	}
	return nil
}

// load builds what judges under the configuration at path. Nobody proves who
// they are here, so the guard that asks for it is left out.
func load(path string) (*gate.Snapshot, error) {
	cfg, err := config.Load(path, ConfigOptions())
	if err != nil {
		return nil, err
	}
	s := new(gate.Snapshot)
	l := &lasting{dir: filepath.Dir(path)}
	return s, fill(s, cfg, standard.Ports{Policy: l.policySource(cfg, s), Escalate: l.conduct.escalation(cfg), Egress: l.egressPorts(cfg), Content: l.contentPorts(cfg), Injection: injectionPorts(cfg), Normalise: normalisePorts(cfg), Segment: l.segmentPorts(cfg)})
}

// Explanation is a decision for people.
type Explanation struct {
	Action   string          `json:"action"`
	Reason   string          `json:"reason,omitempty"`
	Guard    string          `json:"guard,omitempty"`
	Detail   string          `json:"detail,omitempty"`
	Method   string          `json:"method,omitempty"`
	Name     string          `json:"name,omitempty"`
	Revision string          `json:"revision,omitempty"`
	Policy   string          `json:"policy,omitempty"` // its revision
	Hint     string          `json:"hint,omitempty"`
	Labels   []string        `json:"labels,omitempty"`
	Edited   json.RawMessage `json:"edited,omitempty"` // the message as it would go on
	Guards   []Verdict       `json:"guards"`
	Status   int             `json:"http_status,omitempty"` // of the refusal
	Client   json.RawMessage `json:"client_reads,omitempty"`
	Reply    *Explanation    `json:"reply,omitempty"` // of the server's answer
}

// Verdict is one guard's answer.
type Verdict struct {
	Guard  string `json:"guard"`
	Mode   string `json:"mode"`
	Action string `json:"action"`
	Reason string `json:"reason,omitempty"`
	Detail string `json:"detail,omitempty"`
}

// Question is what is to be explained.
type Question struct {
	Server    string
	Principal *guard.Principal // nobody when nil
	Headers   []string         // "Name: value"
	Message   []byte           // that a client POSTs
	Reply     []byte           // what the server answers; not judged when empty
}

// Explain judges a message as if it were POSTed to a server, and what the server
// answers, as if it did.
func Explain(ctx context.Context, path string, q Question) (*Explanation, error) {
	snap, err := load(path)
	if err != nil {
		return nil, err
	}
	h := http.Header{":authority": {"localhost"}, "content-type": {"application/json"}}
	for _, l := range q.Headers {
		name, value, ok := strings.Cut(l, ":")
		if !ok {
			return nil, fmt.Errorf("header %q is not 'Name: value'", l)
		}
		name = strings.ToLower(strings.TrimSpace(name))
		h[name] = append(h[name], strings.TrimSpace(value))
	}
	x := &guard.Exchange{ID: "explain", Verb: http.MethodPost, Path: "/mcp/" + q.Server, Headers: headerMap(h), Started: time.Now()}
	if q.Principal != nil {
		x.Principal = *q.Principal
	}
	d, msg := judge(ctx, snap, x, q.Server, q.Message)
	e := explained(snap, x, &d, &msg)
	e.Revision = x.Revision.String()
	if len(q.Reply) == 0 || d.Action != guard.Allow {
		return e, nil
	}
	e.Reply = answered(ctx, snap, x, q.Reply)
	return e, nil
}

// answered explains what becomes of a server's answer.
func answered(ctx context.Context, snap *gate.Snapshot, x *guard.Exchange, body []byte) *Explanation {
	msg, f := snap.Decoder.Decode(mcp.ToClient, body)
	if f != nil {
		d := snap.Chain.Reject(ctx, x, nil, mcp.ToClient, &mcp.Fault{Reason: string(guard.UpstreamBadReply), Detail: f.Detail, Offset: f.Offset})
		return explained(snap, x, &d, &msg)
	}
	d := snap.Chain.Run(ctx, x, &msg)
	return explained(snap, x, &d, &msg)
}

// explained puts a decision into words.
func explained(snap *gate.Snapshot, x *guard.Exchange, d *guard.Decision, msg *mcp.Message) *Explanation {
	e := &Explanation{
		Action: d.Action.String(), Reason: string(d.Reason), Guard: d.Guard, Detail: d.Detail, Method: msg.Method, Name: msg.Name,
		Policy: d.Policy, Hint: d.Hint, Labels: x.Labels(), Guards: []Verdict{},
	}
	if d.Edited && d.Action == guard.Allow {
		e.Edited = d.Message.Raw
	}
	for _, j := range d.Journal {
		v := Verdict{j.Guard, j.Mode.String(), j.Action.String(), string(j.Reason), j.Detail}
		// A guard is asked about the caller, the head and the message; who says the
		// same each time is heard once.
		if !slices.Contains(e.Guards, v) {
			e.Guards = append(e.Guards, v)
		}
	}
	if d.Action != guard.Allow {
		r := snap.Chain.Refusal(x, d)
		e.Status, e.Client = r.Status, r.Body
	}
	return e
}

func judge(ctx context.Context, snap *gate.Snapshot, x *guard.Exchange, server string, body []byte) (guard.Decision, mcp.Message) {
	srv := snap.Begin(x, server)
	if srv == nil {
		f := &mcp.Fault{Reason: string(guard.UnknownServer), Detail: "no registered server " + server, Offset: -1}
		return snap.Chain.Reject(ctx, x, nil, mcp.ToServer, f), mcp.Message{}
	}
	admission := snap.Chain.Admit(ctx, x)
	if admission.Action != guard.Allow {
		return admission, mcp.Message{}
	}
	f := mcp.CheckMedia(x.Headers)
	var msg mcp.Message
	if f == nil {
		msg, f = snap.Read(x, srv, body)
	}
	if f != nil {
		return snap.Chain.Reject(ctx, x, nil, mcp.ToServer, f), msg
	}
	d := snap.Chain.Run(ctx, x, &msg)
	d.Journal = append(admission.Journal, d.Journal...)
	return d, msg
}

// headerMap is a header block with lower-case names.
type headerMap map[string][]string

// Get implements mcp.Headers.
func (h headerMap) Get(name string) (string, int) {
	v := h[name]
	if len(v) == 0 {
		return "", 0
	}
	return v[0], len(v)
}

// Each implements guard.Headers.
func (h headerMap) Each(visit func(name string, value []byte)) {
	for name, lines := range h {
		for _, v := range lines {
			if !strings.HasPrefix(name, ":") {
				visit(name, []byte(v))
			}
		}
	}
}
