package catalog

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/guard/catalog"
	"github.com/sallyport/sallyport/internal/inspect/definition"
)

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
