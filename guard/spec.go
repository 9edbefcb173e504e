package guard

import (
	"bytes"
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/mcp"
)

// Guard looks at one MCP message and says what may happen to it. One value
// serves every exchange, concurrently. The message is borrowed until Inspect
// (or the verdict's Pending) returns: what is kept is copied. An error means
// "could not decide"; it is never a refusal.
//
// Inspect must not block: whatever waits for something outside the process
// goes into the verdict's Pending. It leaves x and m as they are: what it wants
// changed it says in its verdict, what it wants to remember goes into a [Slot].
type Guard interface {
	Inspect(ctx context.Context, x *Exchange, m *mcp.Message) (Verdict, error)
}

// Admitter is a Guard that can already decide from the request's headers,
// before a body is buffered or parsed. Every request meets it, whatever the
// guard's Wants say. Its verdict may refuse and label; there is no message yet
// that could be edited or given a header.
type Admitter interface {
	Admit(ctx context.Context, x *Exchange) (Verdict, error)
}

// Settler is a Guard that must learn how the exchange ended, for example to
// return a reservation. Settle is called exactly once for every exchange, in
// every kind of ending, whether the guard was asked before or not: a [Slot]
// tells. Its context outlives the request's and has a deadline.
type Settler interface {
	Settle(ctx context.Context, x *Exchange, o Outcome)
}

// Ending is the way an exchange came to its end.
type Ending uint8

// The endings.
const (
	Completed Ending = iota // the response went out whole
	Refused                 // a refusal was the response, or ended it
	Reset                   // the client, the server in mid-reply, or Envoy went away before the end
	TimedOut                // a deadline of the gateway passed
	Broken                  // the transport between Envoy and the gateway failed
	Left                    // the client went away before the end, as Envoy tells who can know
	Failed                  // the server could not be reached, or broke off
)

// String returns the ending in snake_case.
func (e Ending) String() string {
	if names := [...]string{"completed", "refused", "reset", "timed_out", "broken", "left", "failed"}; int(e) < len(names) {
		return names[e]
	}
	return "unknown"
}

// Outcome says how an exchange ended.
type Outcome struct {
	Ending   Ending
	Reached  bool // the request was released to the upstream
	Status   int  // HTTP status sent to the client, or, of a refusal sent as a result, the one that says what it is; 0 when none was
	BytesIn  int64
	BytesOut int64
	In, Out  int64 // messages that went to the server and to the client
	Elapsed  time.Duration
	Reason   Reason // why, where a refusal was the response or ended it
	Reply    Reply  // what the server answered, where it did
}

// Reply is what became of the client's request at the server.
type Reply struct {
	Kind  mcp.Kind // [mcp.Response], [mcp.Failure], or zero where no answer came
	Code  int      // of the error, with mcp.Failure
	Error bool     // the result of a tool says that it is an error
}

// ReplyOf reads what an outcome says of m, which answers the client's request.
func ReplyOf(m *mcp.Message) Reply {
	r := Reply{Kind: m.Kind}
	if m.Kind == mcp.Failure {
		if code, ok := mcp.Member(m.Error, "code"); ok {
			r.Code, _ = strconv.Atoi(string(code))
		}
		return r
	}
	if bytes.Contains(m.Result, isError) { // most results do without, and looking is cheap
		v, ok := mcp.Member(m.Result, "isError")
		r.Error = ok && string(v) == "true"
	}
	return r
}

var isError = []byte(`"isError"`)

// Wanter is a Guard that, as it is configured, does not need all that its Spec
// wants.
type Wanter interface {
	Wants() []Want
}

// Want says which messages a guard must see. Envoy is asked for exactly the
// phases and bodies that the guards of a chain want.
type Want struct {
	Method    string // a method, a prefix such as "tools/*", or "*"; see [Exchange.Topic]
	Direction mcp.Direction
}

// Matches reports whether a message with this topic and direction is wanted.
func (w Want) Matches(topic string, d mcp.Direction) bool {
	if w.Direction != d {
		return false
	}
	if topic == TopicResponse && d == mcp.ToClient {
		return true // it may answer a request of any method
	}
	if prefix, ok := strings.CutSuffix(w.Method, "*"); ok {
		return strings.HasPrefix(topic, prefix)
	}
	return w.Method == topic
}

// Spec is how a guard presents itself: configuration key and schema, metrics,
// journal, shadow mode and conformance suite all follow from it.
type Spec struct {
	Name    string       // key under guards:, label in metrics and receipts
	Summary string       // one sentence for the documentation
	Config  any          // pointer to the default configuration, a struct with yaml and doc tags
	Reasons []ReasonInfo // the reasons its verdicts use beyond the core list
	Wants   []Want

	// Required forbids to shadow the guard or to excuse its errors: what comes
	// behind it means nothing without its answer.
	Required bool

	// Scans says that the guard's cost grows with the content of messages, so that
	// its time counts toward the budget of [Host].
	Scans bool

	// Informs says that its verdicts may give the reply headers, so that the
	// host has to see replies even where no guard judges them.
	Informs bool

	// Carries says that its verdicts may give the labels that begin with [OfTask],
	// [OfCaller] and [OfArguments], which nobody else may.
	Carries bool

	// Build makes the guard. A nil guard without an error is left out of the
	// chain: as configured, there is nothing for it to do.
	Build func(decode func(config any) error) (Guard, error)
}

// Define returns the Spec of a guard with configuration C. The build function
// gets the user's configuration over the defaults; its errors begin with the
// key they are about, as in "allowed_hosts[2]: ...". defaults must hold no map
// and no pointer, because every build begins with a plain copy of it.
func Define[C any](name, summary string, defaults C, build func(C) (Guard, error), wants ...Want) Spec {
	return Spec{
		Name:    name,
		Summary: summary,
		Config:  &defaults,
		Wants:   wants,
		Build: func(decode func(config any) error) (Guard, error) {
			c := defaults
			if err := decode(&c); err != nil {
				return nil, err
			}
			return build(c)
		},
	}
}

// WithReasons returns s with the reasons its verdicts may use.
func (s Spec) WithReasons(reasons ...ReasonInfo) Spec {
	s.Reasons = reasons
	return s
}

// Scanning returns s as that of a guard whose cost grows with what it looks at.
func (s Spec) Scanning() Spec {
	s.Scans = true
	return s
}
