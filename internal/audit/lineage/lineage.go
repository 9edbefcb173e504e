// Package lineage finds out, from receipts alone, which earlier calls fed a call.
//
// There are three kinds of evidence, from the strongest to the weakest. A value:
// something out of the earlier reply stands among the later arguments, as equal
// keyed fingerprints on both receipts show. A label: when the later call was
// judged, it carried a label that the earlier reply had brought. Time: the same
// caller had the earlier reply before it made the later call, so it could know.
package lineage

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/audit/verify"
)

// Options say how far to look.
type Options struct {
	Window time.Duration // before the call, and before each source of it
	Depth  int           // of sources of sources
	All    bool          // also what only time speaks for
	Most   int           // sources of each call, the strongest and latest first
}

// Defaults of Options.
const (
	DefaultWindow = 24 * time.Hour
	DefaultDepth  = 8
	DefaultMost   = 50
)

// Evidence is how a source is known.
type Evidence string

// The kinds of evidence, strongest first.
const (
	Value Evidence = "value"
	Label Evidence = "label"
	Time  Evidence = "time"
)

// Call is one exchange and what fed it.
type Call struct {
	Exchange string    `json:"exchange"`
	Time     time.Time `json:"time"` // of the request; of a source, of its reply
	Place    string    `json:"place"`
	Replica  string    `json:"replica,omitempty"`
	Server   string    `json:"server"`
	Method   string    `json:"method,omitempty"`
	Name     string    `json:"name,omitempty"`
	Action   string    `json:"action"`
	Reason   string    `json:"reason,omitempty"`
	Labels   []string  `json:"labels,omitempty"`   // of the exchange
	Evidence Evidence  `json:"evidence,omitempty"` // of a source
	Brought  []string  `json:"brought,omitempty"`  // labels for which the gateway named it
	Values   int       `json:"values,omitempty"`   // that its reply and the arguments have in common
	Missing  bool      `json:"missing,omitempty"`  // named by the gateway, and on no receipt that was read
	Again    bool      `json:"again,omitempty"`    // its own sources stand elsewhere in the tree
	Sources  []*Call   `json:"sources,omitempty"`
	More     int       `json:"more,omitempty"` // sources that are not listed
}

// Result is the lineage of a call.
type Result struct {
	Call
	Subject string `json:"subject,omitempty"`
	Client  string `json:"client,omitempty"`
	Tenant  string `json:"tenant,omitempty"`
	Task    string `json:"task,omitempty"`

	// Fingerprints says whether receipts hold any, without which nothing can be
	// known by its value.
	Fingerprints bool `json:"fingerprints"`
}

// ErrNone says that no receipt is of the call.
var ErrNone = errors.New("lineage: no receipt is of that exchange")

// receipt is what is read of one (docs/receipts.schema.json).
type receipt struct {
	Exchange  string    `json:"exchange"`
	Time      time.Time `json:"time"`
	Direction string    `json:"direction"`
	Action    string    `json:"action"`
	Reason    string    `json:"reason"`
	Server    string    `json:"server"`
	Method    string    `json:"method"`
	Name      string    `json:"name"`
	Kind      string    `json:"kind"`
	Subject   string    `json:"subject"`
	Pseudonym string    `json:"pseudonym"`
	Issuer    string    `json:"issuer"`
	Client    string    `json:"client"`
	Tenant    string    `json:"tenant"`
	Task      string    `json:"task"`
	Peer      string    `json:"peer"`
	Replica   string    `json:"replica"`
	Labels    []string  `json:"labels"`
	Values    []string  `json:"values"`
	Sources   []source  `json:"sources"`
}

type source struct {
	Exchange string   `json:"exchange"`
	Server   string   `json:"server"`
	Labels   []string `json:"labels"`
}

// caller is who calls, as guards.flow tells callers apart.
func (r *receipt) caller() string {
	who := r.Subject + "\x00" + r.Pseudonym + "\x00" + r.Issuer
	if r.Subject == "" && r.Pseudonym == "" {
		who += "\x00" + r.Peer
	}
	return strings.Join([]string{r.Tenant, who, r.Client}, "\x00")
}

// exchange is all receipts of one.
type exchange struct {
	first    receipt // of the request
	place    string
	asked    time.Time // when the client's message was judged
	sent     []string  // fingerprints of what the client sent
	got      []string  // of what it got
	gotAt    time.Time // when the last of it went out
	gotFirst time.Time
	labels   []string
	cites    []source
}

// Of returns the lineage of an exchange, from receipt directories or files of
// plain receipts, of as many replicas as took part.
func Of(paths []string, id string, o Options) (*Result, error) {
	var root *receipt
	for _, path := range paths {
		err := verify.Query(path, verify.Filter{Exchange: id}, func(_ verify.Place, line []byte) (bool, error) {
			var r receipt
			if json.Unmarshal(line, &r) != nil {
				return true, nil
			}
			root = &r
			return false, nil
		})
		if err != nil {
			return nil, err
		}
		if root != nil {
			break
		}
	}
	if root == nil {
		return nil, ErrNone
	}
	b := &book{Options: o, all: make(map[string]*exchange), has: make(map[string][]string)}
	depth := max(1, o.Depth)
	since, until := root.Time.Add(-time.Duration(depth)*o.Window), root.Time.Add(time.Hour) // its reply may come late
	want := verify.Filter{Since: since, Until: until, Subject: root.Subject, Tenant: root.Tenant}
	for _, path := range paths {
		if err := verify.Query(path, want, func(at verify.Place, line []byte) (bool, error) {
			return true, b.take(fmt.Sprintf("%s/%s:%d", path, at.File, at.Line), line, root.caller())
		}); err != nil {
			return nil, err
		}
	}
	x := b.all[id]
	if x == nil {
		return nil, ErrNone
	}
	r := &Result{Subject: or(root.Subject, root.Pseudonym), Client: root.Client, Tenant: root.Tenant, Task: root.Task, Fingerprints: b.marks}
	r.Call = *x.call()
	r.Call.Sources, r.Call.More = b.sources(x, depth, map[string]bool{id: true})
	return r, nil
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// book is what one caller's receipts say.
type book struct {
	Options
	all   map[string]*exchange
	has   map[string][]string // exchanges by the values of their replies
	marks bool
}

// candidates are the exchanges that may have fed x.
func (b *book) candidates(x *exchange) map[string]*exchange {
	if b.All {
		return b.all
	}
	out := make(map[string]*exchange)
	for _, v := range x.sent {
		for _, id := range b.has[v] {
			out[id] = b.all[id]
		}
	}
	for _, s := range x.cites {
		if o := b.all[s.Exchange]; o != nil {
			out[s.Exchange] = o
		}
	}
	return out
}

func (b *book) take(place string, line []byte, caller string) error {
	var r receipt
	if err := json.Unmarshal(line, &r); err != nil {
		return fmt.Errorf("lineage: %s: %w", place, err)
	}
	if r.Exchange == "" || r.caller() != caller {
		return nil
	}
	x := b.all[r.Exchange]
	if x == nil {
		x = &exchange{first: r, place: place}
		b.all[r.Exchange] = x
	}
	b.marks = b.marks || len(r.Values) > 0
	for _, l := range r.Labels {
		if !slices.Contains(x.labels, l) {
			x.labels = append(x.labels, l)
		}
	}
	if r.Direction == "to_server" {
		if x.first.Direction != "to_server" || r.Time.Before(x.asked) || x.asked.IsZero() {
			x.first, x.place = r, place
		}
		x.asked = r.Time
		x.sent = append(x.sent, r.Values...)
		x.cites = append(x.cites, r.Sources...)
		return nil
	}
	if r.Action == "allow" {
		x.got = append(x.got, r.Values...)
		for _, v := range r.Values {
			b.has[v] = append(b.has[v], r.Exchange)
		}
		if x.gotFirst.IsZero() || r.Time.Before(x.gotFirst) {
			x.gotFirst = r.Time
		}
		if r.Time.After(x.gotAt) {
			x.gotAt = r.Time
		}
	}
	return nil
}

func (x *exchange) call() *Call {
	r := &x.first
	at := x.asked
	if at.IsZero() {
		at = r.Time
	}
	return &Call{Exchange: r.Exchange, Time: at, Place: x.place, Replica: r.Replica, Server: r.Server, Method: r.Method, Name: r.Name, Action: r.Action, Reason: r.Reason, Labels: x.labels}
}

// sources returns what fed x, and how much more there is. What was walked before
// is not walked again.
func (b *book) sources(x *exchange, depth int, walked map[string]bool) (out []*Call, more int) {
	if depth == 0 {
		return nil, 0
	}
	asked := x.asked
	if asked.IsZero() {
		asked = x.first.Time
	}
	found := make(map[string]*Call)
	for id, o := range b.candidates(x) {
		if id == x.first.Exchange || o.gotFirst.IsZero() || !o.gotFirst.Before(asked) || asked.Sub(o.gotAt) > b.Window {
			continue
		}
		c := o.call()
		c.Time, c.Evidence = o.gotFirst, Time
		for _, v := range o.got {
			if slices.Contains(x.sent, v) {
				c.Values, c.Evidence = c.Values+1, Value
			}
		}
		found[id] = c
	}
	for _, s := range x.cites {
		c := found[s.Exchange]
		if c == nil {
			c = &Call{Exchange: s.Exchange, Server: s.Server, Missing: true, Evidence: Label}
			if o := b.all[s.Exchange]; o != nil { // older than the window
				c = o.call()
				c.Time, c.Evidence = o.gotFirst, Label
			}
			found[s.Exchange] = c
		}
		if c.Evidence == Time {
			c.Evidence = Label
		}
		for _, l := range s.Labels {
			if !slices.Contains(c.Brought, l) {
				c.Brought = append(c.Brought, l)
			}
		}
	}
	for _, c := range found {
		if c.Evidence != Time || b.All {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, c *Call) int {
		if d := strength(c.Evidence) - strength(a.Evidence); d != 0 {
			return d
		}
		if d := c.Time.Compare(a.Time); d != 0 {
			return d
		}
		return strings.Compare(a.Exchange, c.Exchange)
	})
	if b.Most > 0 && len(out) > b.Most {
		out, more = out[:b.Most], len(out)-b.Most
	}
	for _, c := range out {
		o := b.all[c.Exchange]
		if o == nil {
			continue
		}
		if walked[c.Exchange] {
			c.Again = true
			continue
		}
		walked[c.Exchange] = true
		c.Sources, c.More = b.sources(o, depth-1, walked)
	}
	return out, more
}

func strength(e Evidence) int {
	switch e {
	case Value:
		return 2
	case Label:
		return 1
	}
	return 0
}
