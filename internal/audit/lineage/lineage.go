// Package lineage finds out, from receipts alone, which earlier calls fed a call.
//
// There are three kinds of evidence, from the strongest to the weakest. A value:
// something out of the earlier reply stands among the later arguments, as equal
// keyed fingerprints on both receipts show. A label: when the later call was
// judged, it carried a label that the earlier reply had brought. Time: the same
// caller had the earlier reply before it made the later call, so it could know.
package lineage

import (
	"cmp"
	"encoding/json"
	"errors"
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

// Of returns the lineage of an exchange, from receipt directories or files of
// plain receipts, of as many replicas as took part.
func Of(paths []string, id string, o Options) (*Result, error) {
	root, err := find(paths, id)
	if err != nil {
		return nil, err
	}
	depth := max(1, o.Depth)
	b, err := read(paths, root, depth, o)
	if err != nil {
		return nil, err
	}
	x := b.all[id]
	if x == nil {
		return nil, ErrNone
	}
	r := &Result{Subject: cmp.Or(root.Subject, root.Pseudonym), Client: root.Client, Tenant: root.Tenant, Task: root.Task, Fingerprints: b.marks}
	r.Call = *x.call()
	r.Call.Sources, r.Call.More = b.sources(x, depth, map[string]bool{id: true})
	return r, nil
}

// find returns the first receipt of an exchange, which says whose the others are.
func find(paths []string, id string) (root *receipt, err error) {
	for _, path := range paths {
		err := verify.Query(path, verify.Filter{Exchange: id}, func(_ verify.Place, line []byte) (bool, error) {
			var r receipt
			if json.Unmarshal(line, &r) != nil || r.Action == "" {
				return true, nil
			}
			root = &r
			return false, nil
		})
		if err != nil || root != nil {
			return root, err
		}
	}
	return nil, ErrNone
}
