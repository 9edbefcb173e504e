// Package flow has labels follow whoever read them: what a reply is labelled
// with, later messages of the same caller and task carry, at every replica, so
// that policies can tell what an agent may have in its mind.
package flow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// Ports are what the guard needs from outside.
type Ports struct {
	// Store returns where labels are kept, for a configuration. Without it the
	// guard is left out.
	Store func(Config) (Store, error)
	Now   func() time.Time

	// Secret resolves a reference; nil leaves it unresolved, for checks of a
	// configuration by itself.
	Secret func(reference string) ([]byte, error)
}

// Spec presents the guard to the chain.
func Spec(p Ports) guard.Spec {
	s := guard.Define("flow", "Has labels follow whoever read what they are about, and tells how sensitive replies are.", Default(), func(c Config) (guard.Guard, error) {
		if err := c.validate(); err != nil || len(c.Labels) == 0 || p.Store == nil {
			return nil, err
		}
		s, err := p.Store(c)
		if err != nil {
			return nil, err
		}
		f := newFlow(c, s, p.Now)
		if c.ValuesKey == "" || p.Secret == nil {
			return f, nil
		}
		key, err := p.Secret(c.ValuesKey)
		if err == nil && len(key) < 16 {
			err = errors.New("is shorter than 16 bytes")
		}
		if err != nil {
			return nil, fmt.Errorf("values_key: %w", err)
		}
		f.marker = newMarker(key)
		return f, nil
	}, guard.Want{Method: "*", Direction: mcp.ToServer}, guard.Want{Method: "*", Direction: mcp.ToClient})
	s.Carries = true
	return s
}

type flow struct {
	Config
	store   Store
	now     func() time.Time
	marker  *marker // nil where values get no fingerprints
	follows map[string]*carriedAs
	assumed []guard.Obligation // where nobody knows
	told    atomic.Int64       // when an event last said so, in seconds
}

// carriedAs are the labels by which task and caller carry another.
type carriedAs struct{ task, caller string }

// repeat is how many seconds an outage goes on before it is told again: calls do
// not fill the log.
const repeat = 60

func newFlow(c Config, s Store, now func() time.Time) *flow {
	f := &flow{Config: c, store: s, now: now, follows: make(map[string]*carriedAs)}
	for _, l := range slices.Concat(c.Labels, guard.Classifications()[guard.Rank(c.From):]) {
		as := &carriedAs{guard.OfTask + l, guard.OfCaller + l}
		f.follows[l] = as
		f.assumed = append(f.assumed, guard.Obligation{Kind: guard.AddLabel, Name: as.task}, guard.Obligation{Kind: guard.AddLabel, Name: as.caller})
	}
	f.assumed = append(f.assumed, guard.Obligation{Kind: guard.AddLabel, Name: labelUnknown})
	return f
}

// RequestsOnly says that labels are of replies.
func (f *flow) RequestsOnly() error {
	return errors.New("it has to see what servers answer, to know what callers have read")
}

// Inspect tells what a message to the server carries, and has what a message to
// the client brings be carried from now on.
func (f *flow) Inspect(_ context.Context, x *guard.Exchange, m *mcp.Message) (guard.Verdict, error) {
	if m.Direction == mcp.ToClient {
		return f.brings(x, m), nil
	}
	if m.Method == "ping" { // which carries nothing
		return guard.Pass(), nil
	}
	s := begin(x)
	if carried, known := f.store.TryRead(s.keys()); known {
		return f.carries(x, m, s, carried), nil
	}
	return guard.Verdict{Pending: func(ctx context.Context) (guard.Verdict, error) {
		carried, err := f.store.Read(ctx, s.keys())
		switch {
		case ctx.Err() != nil: // nobody waits, and the exchange is not ours any more
			return guard.Verdict{}, fmt.Errorf("flow: read: %w", ctx.Err())
		case err == nil:
			return f.carries(x, m, s, carried), nil
		case f.Unknown == "refuse":
			return guard.Verdict{}, fmt.Errorf("flow: read: %w", err)
		}
		v := guard.Pass()
		v.Detail = "the labels cannot be read, so all are assumed: " + err.Error()
		v.Obligations = append(f.described(x, m), f.assumed...)
		if now, last := f.now().Unix(), f.told.Load(); now-last >= repeat && f.told.CompareAndSwap(last, now) {
			v.Obligations = append(v.Obligations, guard.Obligation{Kind: guard.Raise, Name: eventUnknown, Value: err.Error()})
		}
		return v, nil
	}}, nil
}

// described is what the message to the server says by itself.
func (f *flow) described(x *guard.Exchange, m *mcp.Message) []guard.Obligation {
	out := f.arguments(x, m, nil)
	if f.marker != nil {
		out = f.marker.mark(x, m, out)
	}
	return out
}

// carries labels a message with what its caller and task carry.
func (f *flow) carries(x *guard.Exchange, m *mcp.Message, s *state, carried [][]Label) guard.Verdict {
	v := guard.Pass()
	v.Obligations = f.described(x, m)
	ofCaller, ofTask := carried[0], carried[len(carried)-1]
	now := f.now()
	s.ofCaller = learn(s.ofCaller[:0], ofCaller, now)
	if s.vouched {
		s.ofTask = learn(s.ofTask[:0], ofTask, now)
	}
	if n := len(ofTask) + len(ofCaller); n > 0 {
		v.Obligations = append(make([]guard.Obligation, 0, 2*n+1), v.Obligations...)
		v.Obligations = f.cite(v.Obligations, false, ofTask)
		v.Obligations = f.cite(v.Obligations, true, ofCaller)
	}
	return v
}

// cite labels a message, and says why. A label that does not follow any more,
// since the configuration changed, is left where it is.
func (f *flow) cite(out []guard.Obligation, caller bool, carried []Label) []guard.Obligation {
	slices.SortFunc(carried, func(a, b Label) int { return compare(a.Name, b.Name) }) // decisions are kept by the row of labels
	for i := range carried {
		l := &carried[i]
		as, ok := f.follows[l.Name]
		if !ok {
			continue
		}
		name := as.task
		if caller {
			name = as.caller
		}
		out = append(out, guard.Obligation{Kind: guard.AddLabel, Name: name})
		if l.Source.Exchange != "" {
			out = append(out, guard.Obligation{Kind: guard.Cite, Name: name, Value: l.Source.Exchange + " " + l.Source.Server})
		}
	}
	return out
}

// brings has what the message brings be carried before it goes on. An exchange
// that has brought a label brings it with every message from then on.
func (f *flow) brings(x *guard.Exchange, m *mcp.Message) guard.Verdict {
	s := begin(x)
	v := guard.Pass()
	given := f.label(x, m)
	v.Obligations = given
	if f.marker != nil && substanceOf(x.Topic(m)) == data {
		v.Obligations = f.marker.mark(x, m, given)
	}
	now := f.now()
	labels := len(x.Labels()) + len(given)
	if s.seen == labels && now.Before(s.due) {
		return v
	}
	entries := s.missing(f, x, f.brought(x, given), now)
	if len(entries) == 0 {
		s.seen = labels
		return v
	}
	return guard.Verdict{Pending: func(ctx context.Context) (guard.Verdict, error) {
		if err := f.store.Add(ctx, entries); err != nil {
			return guard.Verdict{}, fmt.Errorf("flow: add: what the message brings cannot be kept, so it does not go on: %w", err)
		}
		if ctx.Err() != nil { // the exchange is not ours any more
			return guard.Verdict{}, fmt.Errorf("flow: add: %w", ctx.Err())
		}
		s.added(entries, now)
		return v, nil
	}}
}

// brought returns the labels of the exchange, with those to come, that follow.
func (f *flow) brought(x *guard.Exchange, more []guard.Obligation) (out []string) {
	for _, l := range x.Labels() {
		if f.follows[l] != nil {
			out = append(out, l)
		}
	}
	for i := range more {
		if l := more[i].Name; f.follows[l] != nil && !slices.Contains(out, l) {
			out = append(out, l)
		}
	}
	return out
}

// slack is how much longer than its time a label is kept, so that replies which
// bring it again and again need not keep it again each time.
func slack(d time.Duration) time.Duration { return d / 4 }
