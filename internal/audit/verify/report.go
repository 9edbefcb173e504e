// Package verify reads receipt directories: it says whether they are whole and
// unchanged, proves single receipts, and finds some. It believes nothing that
// no given key has signed.
package verify

import (
	"fmt"
	"strings"
)

// Kind is a class of findings.
type Kind string

// The kinds.
const (
	Altered   Kind = "altered"   // bytes are not those that were written
	Missing   Kind = "missing"   // something was here that is not any more
	Reordered Kind = "reordered" // something is in another place, or twice
	Truncated Kind = "truncated" // an end is not here any more
	Forged    Kind = "forged"    // consistent, but not what was signed
	Unsigned  Kind = "unsigned"  // signed by no key that was given
	Torn      Kind = "torn"      // half a line, which nobody has accounted for
	Foreign   Kind = "foreign"   // of another replica or another place in the chain
	Reported  Kind = "reported"  // the gateway itself found that the directory had been changed
)

// Finding is one thing that is wrong, and where.
type Finding struct {
	Kind    Kind   `json:"kind"`
	File    string `json:"file"`
	Line    uint64 `json:"line,omitempty"`    // from 1
	ToLine  uint64 `json:"to_line,omitempty"` // the last, when there are several
	Seq     uint64 `json:"seq,omitempty"`     // receipt
	ToSeq   uint64 `json:"to_seq,omitempty"`  // the last, when there are several
	Message string `json:"message"`
}

// String returns the finding as one line.
func (f Finding) String() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d", f.Line)
	}
	if f.ToLine > f.Line {
		fmt.Fprintf(&b, "-%d", f.ToLine)
	}
	fmt.Fprintf(&b, ": %s: %s", f.Kind, f.Message)
	switch {
	case f.ToSeq > f.Seq:
		fmt.Fprintf(&b, " (receipts %d to %d)", f.Seq, f.ToSeq)
	case f.Seq > 0:
		fmt.Fprintf(&b, " (receipt %d)", f.Seq)
	}
	return printable(b.String())
}

// printable leaves a text what a terminal shows and does not obey: what a directory
// holds may have been written by whom it tells on.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}

// maxFindings bounds a report; a directory can be wrong in every line.
const maxFindings = 1000

// Report is what there is to say about a directory.
type Report struct {
	OK          bool      `json:"ok"`
	Directory   string    `json:"directory"`
	Replica     string    `json:"replica,omitempty"`
	Segments    int       `json:"segments"`
	Lines       uint64    `json:"lines"`
	Receipts    uint64    `json:"receipts"`
	FirstSeq    uint64    `json:"first_seq,omitempty"`
	LastSeq     uint64    `json:"last_seq,omitempty"`
	Lost        uint64    `json:"receipts_lost"`              // that the gateway itself says it could not keep
	Removed     uint64    `json:"removed_segments,omitempty"` // the oldest, which the gateway removed because they need be kept no longer
	Interrupted int       `json:"interruptions"`              // starts after the gateway had not been stopped in order
	Checkpoints int       `json:"checkpoints"`
	Signatures  string    `json:"signatures"` // "valid", "invalid" or "unchecked"
	Unsealed    uint64    `json:"unsealed"`   // lines after the last checkpoint, which only the chain holds
	Published   string    `json:"published,omitempty"`
	Sinks       []Sink    `json:"sinks,omitempty"`
	Findings    []Finding `json:"findings"`
	More        int       `json:"more_findings,omitempty"` // beyond those listed
}

func (r *Report) add(f Finding) {
	if len(r.Findings) == maxFindings {
		r.More++
		return
	}
	r.Findings = append(r.Findings, f)
}
