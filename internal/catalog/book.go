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

	announced sync.Map // announcement -> nothing: lists that servers have announced and nobody has asked for
	awaited   atomic.Int64
}

type announcement struct {
	server string
	kind   definition.Kind
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
	p.fold()
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
	p := v.page(server)
	r, ok := p.records[key{k, name}]
	var s catalog.Standing
	switch {
	case ok:
		s = v.standing(r)
	case len(p.records) >= maxRecords:
		return catalog.Standing{State: catalog.Held, Why: tooMany} // it may have been listed
	default:
		s.Like = p.like(k, name)
	}
	if v.awaited.Load() > 0 {
		_, s.Stale = v.announced.Load(announcement{server, k})
	}
	return s
}

var tooMany = fmt.Sprintf("the server has defined more than %d things", maxRecords)

// Announced implements catalog.Book. It is this process that knows of it: the
// other replicas hear of it from the streams that they carry.
func (b *Book) Announced(server string, k definition.Kind) bool {
	_, known := b.announced.LoadOrStore(announcement{server, k}, nil)
	if !known {
		b.awaited.Add(1)
	}
	return !known
}

// listed ends the wait for a list of these definitions.
func (b *Book) listed(server string, list []definition.Definition) {
	if b.awaited.Load() == 0 || len(list) == 0 {
		return
	}
	if _, was := b.announced.LoadAndDelete(announcement{server, list[0].Kind}); was {
		b.awaited.Add(-1)
	}
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
	v.listed(server, list)
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
		chosen, err := v.choose(p, list)
		if err != nil {
			return false, err
		}
		for i := range list {
			if !chosen[i] {
				continue
			}
			one, did, err := v.see(server, p, own, &list[i])
			if err != nil {
				return false, err
			}
			out[i], changed = one, changed || did
		}
		for i := range list {
			if r := p.records[key{list[i].Kind, list[i].Name}]; !chosen[i] && r != nil {
				out[i] = v.standing(r)
			} else if !chosen[i] {
				out[i] = catalog.Standing{State: catalog.Held, Why: "another of its name is held"}
			}
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
	if err == nil {
		v.listed(server, list)
	}
	return out, err
}

// choose picks one definition of each name in a list, the same whenever the list
// comes again: of several forms one that is not the pinned one, and of those the
// one that is known to be offered. Otherwise each such list would change the
// record there and back, and write a file each time.
func (v *view) choose(p *page, list []definition.Definition) ([]bool, error) {
	first := make(map[key]int, len(list))
	chosen := make([]bool, len(list))
	rank := func(i int) (int, string, error) {
		if oversized(&list[i]) {
			return 3, digest(list[i].Raw), nil
		}
		_, hash, err := definition.Canonical(list[i].Raw)
		r := p.records[key{list[i].Kind, list[i].Name}]
		switch {
		case err != nil:
			return 0, "", err
		case r != nil && r.Pinned != nil && r.Pinned.Hash == hash:
			return 0, hash, nil
		case r != nil && r.Offered != nil && r.Offered.Hash == hash:
			return 2, hash, nil
		}
		return 1, hash, nil
	}
	for i := range list {
		k := key{list[i].Kind, list[i].Name}
		j, twice := first[k]
		if !twice || p.records[k] == nil { // each of several new forms is a change of the one before
			first[k], chosen[i] = i, true
			continue
		}
		a, x, err := rank(j)
		if err != nil {
			return nil, err
		}
		b, y, err := rank(i)
		if err != nil {
			return nil, err
		}
		if b > a || b == a && y < x {
			first[k], chosen[i], chosen[j] = i, true, false
		}
	}
	return chosen, nil
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
