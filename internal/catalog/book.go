package catalog

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/guard/catalog"
	"github.com/sallyport/sallyport/internal/inspect/definition"
)

// Limits of what one server can make the gateway keep.
const (
	maxRecords    = 10_000
	maxDefinition = 256 << 10
)

// Book keeps the records of all servers. It implements the port of the guard
// through [Book.Under].
type Book struct {
	store   *store // nil keeps everything in memory
	now     func() time.Time
	suspect *suspector

	mu    sync.Mutex // changes, one at a time
	pages sync.Map   // server -> *atomic.Pointer[page]
	names index
}

// Open returns the book that is kept in dir, or in memory where dir is empty.
func Open(dir string) (*Book, error) {
	s, err := newSuspector()
	if err != nil {
		return nil, fmt.Errorf("catalog: open: %w", err)
	}
	b := &Book{now: time.Now, suspect: s, names: newIndex()}
	if dir == "" {
		return b, nil
	}
	b.store = newStore(dir)
	err = b.Refresh()
	return b, err
}

// Refresh reads what others wrote since. A file that cannot be read leaves what
// was known of its server, and is the error.
func (b *Book) Refresh() error {
	if b.store == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.store.changed(func(server string, records []Record) { b.set(server, records) })
}

// set makes records what is known of a server. What was seen of forms that are
// still there stays seen. b.mu is held.
func (b *Book) set(server string, records []Record) {
	before := b.page(server)
	p := &page{records: make(map[key]*Record, len(records)), seen: make(map[key]string)}
	for i := range records {
		r := &records[i]
		p.records[r.key()] = r
		if old, ok := before.records[r.key()]; ok && sameForms(old, r) {
			p.seen[r.key()] = before.seen[r.key()]
		}
	}
	b.put(server, p)
}

func sameForms(a, b *Record) bool {
	hash := func(f *Form) string {
		if f == nil {
			return ""
		}
		return f.Hash
	}
	return hash(a.Pinned) == hash(b.Pinned) && hash(a.Offered) == hash(b.Offered)
}

var blank = &page{}

func (b *Book) page(server string) *page {
	if p, ok := b.pages.Load(server); ok {
		return p.(*atomic.Pointer[page]).Load()
	}
	return blank
}

func (b *Book) put(server string, p *page) {
	slot, ok := b.pages.Load(server)
	if !ok {
		slot, _ = b.pages.LoadOrStore(server, new(atomic.Pointer[page]))
	}
	slot.(*atomic.Pointer[page]).Store(p)
	b.names.set(server, p)
}

// Under returns the book as the guard sees it under a configuration.
func (b *Book) Under(c catalog.Config) catalog.Book { return &view{b, c} }

type view struct {
	*Book
	config catalog.Config
}

// Standing implements catalog.Book.
func (v *view) Standing(server string, k definition.Kind, name string) catalog.Standing {
	r, ok := v.page(server).records[key{k, name}]
	if !ok {
		return catalog.Standing{}
	}
	return v.standing(r)
}

func (v *view) standing(r *Record) catalog.Standing {
	switch {
	case r.Quarantined != "":
		return catalog.Standing{State: catalog.Held, Why: "quarantined: " + r.Quarantined}
	case r.Pinned == nil:
		why := "waits to be pinned"
		if len(r.Suspicions) > 0 {
			why += ": " + strings.Join(r.Suspicions, "; ")
		}
		return catalog.Standing{State: catalog.Held, Why: why}
	case r.Offered != nil && (v.config.OnChange == "quarantine" || r.Doubted):
		return catalog.Standing{State: catalog.Held, Why: strings.Join(append([]string{"it has changed since it was pinned"}, r.Suspicions...), "; ")}
	}
	return catalog.Standing{State: catalog.Trusted}
}

// Known implements catalog.Book.
func (v *view) Known(server string, list []definition.Definition) ([]catalog.Standing, bool) {
	p := v.page(server)
	out := make([]catalog.Standing, len(list))
	for i := range list {
		k := key{list[i].Kind, list[i].Name}
		r, ok := p.records[k]
		if !ok || p.seen[k] != digest(list[i].Raw) {
			return nil, false
		}
		out[i] = v.standing(r)
	}
	return out, true
}

func digest(raw []byte) string {
	sum := sha256.Sum256(raw)
	return string(sum[:])
}

// See implements catalog.Book.
func (v *view) See(_ context.Context, server string, list []definition.Definition) ([]catalog.Standing, error) {
	b := v.Book
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []catalog.Standing
	err := b.update(server, func(p *page) (changed bool, err error) {
		out = make([]catalog.Standing, len(list))
		own := make(map[string]bool, len(list)) // tools that the list has
		for i := range list {
			own[list[i].Name] = list[i].Kind == definition.Tool
		}
		for i := range list {
			one, did, err := v.see(server, p, own, &list[i])
			if err != nil {
				return false, err
			}
			out[i], changed = one, changed || did
		}
		for i := range list { // a later entry may have changed what an earlier one of the same name is
			if out[i].State != catalog.Held { // or else there may be no record of it
				now := v.standing(p.records[key{list[i].Kind, list[i].Name}])
				now.Events = out[i].Events
				out[i] = now
			}
		}
		return changed, nil
	})
	return out, err
}

// update changes the page of a server, in its file and then in memory. b.mu is
// held.
func (b *Book) update(server string, change func(*page) (bool, error)) error {
	var next *page
	apply := func(records []Record, fresh bool) ([]Record, bool, error) {
		if fresh { // somebody else wrote since
			b.set(server, records)
		}
		next = b.page(server).clone()
		changed, err := change(next)
		return list(next), changed, err
	}
	var err error
	if b.store == nil {
		_, _, err = apply(nil, false)
	} else {
		err = b.store.update(server, apply)
	}
	if err != nil {
		return err
	}
	b.put(server, next)
	return nil
}
