package catalog

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

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
