package flow

import (
	"crypto/sha256"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/guard"
)

// state is what an exchange remembers: whose it is, and what they carry as far
// as it knows.
type state struct {
	caller, task     Key
	vouched          bool // the token names the task
	both             [2]Key
	ofCaller, ofTask []held
	seen             int       // labels of the exchange that were looked at
	due              time.Time // when they have to be kept for longer
}

var states = guard.NewSlot[*state]()

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 512); return &b }}

// begin returns the state of an exchange. Everything in a key is verified: the
// caller cannot leave its labels behind by calling itself, or its task,
// something else. Who is not verified is told apart by where it calls from.
func begin(x *guard.Exchange) *state {
	if s, ok := states.Get(x); ok {
		return s
	}
	s := &state{vouched: x.Principal.Task != ""}
	pooled := buffers.Get().(*[]byte)
	b := append((*pooled)[:0], 'c')
	b = guard.AppendText(b, x.Principal.Tenant)
	b = x.AppendCaller(b)
	b = guard.AppendText(b, x.Principal.Client)
	if x.Principal.IsAnonymous() && !x.Peer.Verified && x.Source.IsValid() {
		b = append(b, x.Source.Addr().Unmap().String()...)
	}
	s.caller = digest(b)
	if s.vouched {
		b[0] = 't'
		b = guard.AppendText(guard.AppendText(b, x.Principal.Issuer), x.Principal.Task)
		s.task = digest(b)
	}
	s.both = [2]Key{s.caller, s.task}
	*pooled = b
	buffers.Put(pooled)
	states.Set(x, s)
	return s
}

// Keys are whose labels an exchange of a principal reads and brings: its own
// first, and those of the task that its token names, if it names one.
func Keys(x *guard.Exchange) []Key { return begin(x).keys() }

func digest(b []byte) Key {
	sum := sha256.Sum256(b)
	return Key(sum[:16])
}

// keys are the caller's and, if there is one that counts, the task's.
func (s *state) keys() []Key {
	if s.vouched {
		return s.both[:]
	}
	return s.both[:1]
}

// held is a label that is carried until a time.
type held struct {
	name  string
	until time.Time
}

// learn notes what a key carries.
func learn(have []held, carried []Label, now time.Time) []held {
	for i := range carried {
		have = append(have, held{carried[i].Name, now.Add(carried[i].Left)})
	}
	return have
}

// until is when a label ends to be carried; the zero time where it is not.
func until(have []held, name string) (end time.Time) {
	for i := range have {
		if have[i].name == name && have[i].until.After(end) {
			end = have[i].until
		}
	}
	return end
}

// missing returns what has to be kept for labels to be carried as long as they
// should be, and notes when that has to be looked at again.
func (s *state) missing(f *flow, x *guard.Exchange, labels []string, now time.Time) (entries []Entry) {
	source := Source{Exchange: x.ID, Server: x.Server.Name}
	s.due = now.Add(forever)
	add := func(k Key, have []held, d time.Duration) {
		var list []Label
		for _, name := range labels {
			due := until(have, name).Add(-d)
			if due.After(now) {
				if due.Before(s.due) {
					s.due = due
				}
				continue
			}
			list = append(list, Label{name, source, d + slack(d)})
		}
		if list != nil {
			entries = append(entries, Entry{k, list})
		}
	}
	add(s.caller, s.ofCaller, f.CallerTime)
	if s.vouched {
		add(s.task, s.ofTask, f.TaskTime)
	}
	return entries
}

const forever = 1000 * time.Hour

// added notes what was kept. When that is due the next message finds out.
func (s *state) added(entries []Entry, now time.Time) {
	for _, e := range entries {
		if s.vouched && e.Key == s.task {
			s.ofTask = learn(s.ofTask, e.Labels, now)
		} else {
			s.ofCaller = learn(s.ofCaller, e.Labels, now)
		}
	}
}

func compare(a, b string) int { return strings.Compare(a, b) }
