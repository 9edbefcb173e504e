package lineage

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/audit/verify"
)

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

// book is what one caller's receipts say.
type book struct {
	Options
	all   map[string]*exchange
	has   map[string][]string // exchanges by the values of their replies
	marks bool
}

// read takes in what the caller of root did before it, as far back as sources of
// sources can lie.
func read(paths []string, root *receipt, depth int, o Options) (*book, error) {
	b := &book{Options: o, all: make(map[string]*exchange), has: make(map[string][]string)}
	want := verify.Filter{
		Since: root.Time.Add(-time.Duration(depth) * o.Window), Until: root.Time.Add(time.Hour), // its reply may come late
		Subject: root.Subject, Tenant: root.Tenant,
	}
	for _, path := range paths {
		if err := verify.Query(path, want, func(at verify.Place, line []byte) (bool, error) {
			return true, b.take(fmt.Sprintf("%s/%s:%d", path, at.File, at.Line), line, root.caller())
		}); err != nil {
			return nil, err
		}
	}
	return b, nil
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

// take takes in a receipt, if it is of the caller.
func (b *book) take(place string, line []byte, caller string) error {
	var r receipt
	if err := json.Unmarshal(line, &r); err != nil {
		return fmt.Errorf("lineage: %s: %w", place, err)
	}
	if r.Exchange == "" || r.Action == "" || r.caller() != caller { // how an exchange ended fed nothing
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

// call is what a lineage says of an exchange, without its sources.
func (x *exchange) call() *Call {
	r := &x.first
	at := x.asked
	if at.IsZero() {
		at = r.Time
	}
	return &Call{Exchange: r.Exchange, Time: at, Place: x.place, Replica: r.Replica, Server: r.Server, Method: r.Method, Name: r.Name, Action: r.Action, Reason: r.Reason, Labels: x.labels}
}
