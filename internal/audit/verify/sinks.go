package verify

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/audit/deliver"
)

// Sink is what a directory says of a system that it is delivered to.
type Sink struct {
	Name       string            `json:"name"`
	State      string            `json:"state"`
	Seq        uint64            `json:"seq,omitempty"` // the last receipt that it was through with
	Distrusted *deliver.Distrust `json:"distrusted,omitempty"`
}

// What can be said of what a sink remembers.
const (
	Authentic    = "authentic"     // signed by a key that was given, and of this sink and directory
	NotChecked   = "not_checked"   // no key was given
	NotSigned    = "not_signed"    // by a gateway that signs none
	NotAuthentic = "not_authentic" // it has a finding
	NotThere     = "not_there"     // the log says that the sink had begun; it begins anew with the oldest receipt
)

// maxSinks bounds how many are looked at: anybody can make folders.
const maxSinks = 1000

// remembered is what a sink remembers; nil where it cannot be read.
type remembered struct {
	*deliver.Memory
	err error
}

// readSinks reads what sinks remember.
func (v *verifier) readSinks() {
	v.sinks = make(map[string]*remembered)
	folders, err := os.ReadDir(filepath.Join(v.dir, "sinks"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		v.found(Finding{Kind: Altered, File: "sinks", Message: "the folder cannot be read"})
	}
	for _, f := range folders[:min(len(folders), maxSinks)] {
		m, err := deliver.ReadMemory(v.dir, f.Name())
		if !errors.Is(err, fs.ErrNotExist) {
			v.sinks[f.Name()] = &remembered{m, err}
		}
	}
}

// namesSinks notes what the first line of a segment says of sinks.
func (v *verifier) namesSinks(h *chain.Header) {
	if h.Sinks == nil {
		return
	}
	v.signs = true
	for _, name := range *h.Sinks {
		if _, have := v.sinks[name]; !have && len(v.sinks) < 2*maxSinks {
			v.sinks[name] = nil
		}
	}
}

// judgeSinks reports what sinks cannot have left so. It is called once the log was read.
func (v *verifier) judgeSinks() {
	for _, name := range slices.Sorted(maps.Keys(v.sinks)) {
		m := v.sinks[name]
		if m == nil {
			v.report.Sinks = append(v.report.Sinks, Sink{Name: name, State: NotThere})
			continue
		}
		s := Sink{Name: name, State: NotAuthentic}
		at := Finding{File: filepath.Join("sinks", name, deliver.CursorFile)}
		if m.err != nil {
			at.Kind, at.Message = Altered, "what the sink remembers cannot be read: "+m.err.Error()
			v.found(at)
			v.report.Sinks = append(v.report.Sinks, s)
			continue
		}
		at.Kind, s.State, at.Message = v.authentic(name, m.Memory)
		if at.Message != "" {
			v.found(at)
		} else {
			s.Seq, s.Distrusted = m.At.Seq, m.Distrusted
			v.evidence(name, at.File, m.Memory)
		}
		v.report.Sinks = append(v.report.Sinks, s)
	}
}

// authentic says what a sink's memory is, and what is wrong with it.
func (v *verifier) authentic(name string, m *deliver.Memory) (kind Kind, state, wrong string) {
	pub, known := v.keys[m.Key]
	switch {
	case !m.Signed() && v.signs:
		return Forged, NotAuthentic, "what the sink remembers is not signed, and the log says that gateways sign it"
	case !m.Signed():
		return "", NotSigned, ""
	case m.Sink != name || m.Replica != v.replica && v.replica != "":
		return Foreign, NotAuthentic, fmt.Sprintf("what the sink remembers is of sink %q and replica %.16s", m.Sink, m.Replica)
	case len(v.keys) == 0:
		return "", NotChecked, ""
	case !known:
		return Unsigned, NotAuthentic, fmt.Sprintf("what the sink remembers is signed with key %.16s, which is none of those given", m.Key)
	case !m.SignedWith(pub):
		return Forged, NotAuthentic, fmt.Sprintf("the signature of what the sink remembers is not one of key %.16s", m.Key)
	}
	return "", Authentic, ""
}

// evidence holds the log and the dead letters against what the gateway remembered of them.
func (v *verifier) evidence(name, file string, m *deliver.Memory) {
	if err := m.Ahead(v.dir); err != nil {
		v.found(Finding{Kind: Truncated, File: file, Seq: m.At.Seq,
			Message: fmt.Sprintf("the sink is through with receipt %d, and the log is not the one that had it: %v", m.At.Seq, err)})
	} else if m.At.Seq > v.seq {
		v.found(Finding{Kind: Truncated, File: file, Seq: v.seq + 1, ToSeq: m.At.Seq,
			Message: fmt.Sprintf("the sink is ahead of the log, which ends with receipt %d: its end was cut", v.seq)})
	}
	if !m.Signed() {
		return
	}
	if !v.lettersKept(name, m) {
		v.found(Finding{Kind: Altered, File: filepath.Join("sinks", name, deliver.DeadFile), Message: "the dead letters are not those that were written"})
	}
}

// lettersKept reports whether the dead letters are there that were written. A gateway that
// runs may have put a file of them aside since its memory was read: then the one of now counts.
func (v *verifier) lettersKept(name string, m *deliver.Memory) bool {
	if ok, err := m.LettersKept(v.dir); err == nil && ok {
		return true
	}
	now, err := deliver.ReadMemory(v.dir, name)
	if err != nil {
		return false
	}
	if _, _, wrong := v.authentic(name, now); wrong != "" || !now.Signed() {
		return false
	}
	ok, err := now.LettersKept(v.dir)
	return err == nil && ok
}
