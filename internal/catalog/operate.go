package catalog

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/internal/inspect/definition"
)

// Entry is a record as operators are shown it.
type Entry struct {
	Server string `json:"server"`
	State  string `json:"state"` // pinned, waiting, changed or quarantined
	Record
}

// Changes returns how the offered form differs from the pinned one.
func (e *Entry) Changes() ([]definition.Change, error) {
	if e.Pinned == nil || e.Offered == nil {
		return nil, nil
	}
	return definition.Compare(e.Pinned.Definition, e.Offered.Definition)
}

// Entries returns all records, sorted; server narrows them to one where it is
// not empty.
func (b *Book) Entries(server string) []Entry {
	var out []Entry
	b.pages.Range(func(name, _ any) bool {
		s := name.(string)
		if server != "" && s != server {
			return true
		}
		for _, r := range b.page(s).records {
			out = append(out, Entry{s, r.state(), *r})
		}
		return true
	})
	slices.SortFunc(out, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Server, b.Server), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// Counts returns how many records are in each state.
func (b *Book) Counts() map[string]int {
	n := make(map[string]int)
	b.pages.Range(func(name, _ any) bool {
		for _, r := range b.page(name.(string)).records {
			n[r.state()]++
		}
		return true
	})
	return n
}

// Pin makes the form that is offered now the trusted one, and ends a quarantine.
// hash, where it is not empty, is the form that the operator has looked at:
// another one is not pinned.
func (b *Book) Pin(server string, k definition.Kind, name, hash, by string) error {
	return b.operate(server, k, name, func(r *Record) error {
		form := r.Offered
		if form == nil {
			form = r.Pinned
		}
		if hash != "" && form.Hash != hash {
			return fmt.Errorf("catalog: pin: %s %q of %s is offered as %s now, not as %s", k, name, server, form.Hash, hash)
		}
		if form.stub() {
			return fmt.Errorf("catalog: pin: %s %q of %s is too large to be kept, so it cannot be pinned", k, name, server)
		}
		pinned := &Form{Hash: form.Hash, Definition: form.Definition, At: b.now().UTC(), By: by}
		r.Pinned, r.Offered, r.Quarantined, r.Suspicions, r.Doubted, r.Changes = pinned, nil, "", nil, false, 0
		return nil
	})
}

// Quarantine holds a definition until it is pinned again.
func (b *Book) Quarantine(server string, k definition.Kind, name, why string) error {
	return b.operate(server, k, name, func(r *Record) error {
		r.Quarantined = cmp.Or(why, "by an operator")
		return nil
	})
}

// Forget drops a record, as if the definition had never been seen.
func (b *Book) Forget(server string, k definition.Kind, name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.update(server, func(p *page) (bool, error) {
		if _, ok := p.records[key{k, name}]; !ok {
			return false, unheard(server, k, name)
		}
		delete(p.records, key{k, name})
		delete(p.seen, key{k, name})
		return true, nil
	})
}

func (b *Book) operate(server string, k definition.Kind, name string, change func(*Record) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.update(server, func(p *page) (bool, error) {
		old, ok := p.records[key{k, name}]
		if !ok {
			return false, unheard(server, k, name)
		}
		r := *old
		if err := change(&r); err != nil {
			return false, err
		}
		p.records[key{k, name}] = &r
		return true, nil
	})
}

func unheard(server string, k definition.Kind, name string) error {
	return fmt.Errorf("catalog: no %s %q of server %q has been listed", k, name, server)
}

// check recomputes what a file says of a form.
func check(f *Form) (canonical json.RawMessage, hash string, err error) {
	canonical, hash, err = definition.Canonical(f.Definition)
	if err == nil && hash != f.Hash {
		err = fmt.Errorf("the hash is %s and that of the definition %s", f.Hash, hash)
	}
	return canonical, hash, err
}
