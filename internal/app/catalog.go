package app

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"

	guard "github.com/sallyport/sallyport/guard/catalog"
	"github.com/sallyport/sallyport/guard/schema"
	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/config"
)

// books are the catalogs of definitions, one per folder. They last over reloads,
// so that what is kept in memory is not forgotten.
type books struct {
	mu   sync.Mutex
	open map[string]*catalog.Book
	last map[string]string // trouble with a folder, as it was told
}

// ports give the guard its book; dir is where relative paths begin.
func (b *books) ports(dir string) guard.Ports {
	return guard.Ports{Open: func(c guard.Config) (guard.Book, error) {
		book, err := b.book(catalogFolder(dir, c))
		if err != nil {
			return nil, err
		}
		return book.Under(c), nil
	}}
}

// schemas give the guard of schemas what the catalog has pinned under cfg. Where
// nothing is pinned there is nothing to hold anything against.
func (b *books) schemas(cfg *config.Config, dir string, made schema.Tasks) schema.Ports {
	c := guard.Default()
	section, ok := cfg.Guards["catalog"]
	if !ok {
		return schema.Ports{}
	}
	if err := section.Decode(&c); err != nil || c.Pin == "off" {
		return schema.Ports{} // the guard of the catalog reports the error
	}
	book, err := b.book(catalogFolder(dir, c))
	if err != nil {
		return schema.Ports{}
	}
	return schema.Ports{Schemas: book.Schemas(c), Tasks: made}
}

func catalogFolder(dir string, c guard.Config) string {
	if c.Directory == "" {
		return ""
	}
	return within(dir, c.Directory)
}

func (b *books) book(folder string) (*catalog.Book, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if book, ok := b.open[folder]; ok {
		return book, nil
	}
	book, err := catalog.Open(folder)
	if err != nil {
		return nil, err
	}
	if b.open == nil {
		b.open, b.last = make(map[string]*catalog.Book), make(map[string]string)
	}
	b.open[folder] = book
	return book, nil
}

// run reads every second what commands and other replicas have written.
func (b *books) run(ctx context.Context, log *slog.Logger) {
	tend(ctx, func() (run func(context.Context), sweep func()) { return nil, func() { b.refresh(log) } })
}

func (b *books) refresh(log *slog.Logger) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for folder, book := range b.open {
		said := ""
		if err := book.Refresh(); err != nil {
			said = err.Error()
		}
		switch {
		case said == b.last[folder]:
		case said != "":
			log.Error("the catalog cannot be read; what was known of it stays in force", "err", said)
		default:
			log.Info("the catalog can be read again", "directory", folder)
		}
		b.last[folder] = said
	}
}

// CatalogStatus counts the definitions that are known.
type CatalogStatus struct {
	Pinned      int    `json:"pinned"`
	Changed     int    `json:"changed"`
	Waiting     int    `json:"waiting"`
	Quarantined int    `json:"quarantined"`
	Trouble     string `json:"trouble,omitempty"`
}

func (b *books) status() (s CatalogStatus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for folder, book := range b.open {
		n := book.Counts()
		s.Pinned, s.Changed, s.Waiting, s.Quarantined = s.Pinned+n["pinned"], s.Changed+n["changed"], s.Waiting+n["waiting"], s.Quarantined+n["quarantined"]
		if s.Trouble == "" {
			s.Trouble = b.last[folder]
		}
	}
	return s
}

// Catalog opens the catalog that the configuration at path keeps in a folder.
func Catalog(path string) (*catalog.Book, error) {
	cfg, err := config.Load(path, ConfigOptions())
	if err != nil {
		return nil, err
	}
	var c guard.Config
	if err := cfg.Guards["catalog"].Decode(&c); err != nil {
		return nil, err
	}
	if c.Directory == "" {
		return nil, fmt.Errorf("%s: guards.catalog.directory: is not set, so pins are in the memory of the gateway only", path)
	}
	return catalog.Open(catalogFolder(filepath.Dir(path), c))
}
