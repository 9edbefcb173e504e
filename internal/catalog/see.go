package catalog

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/guard/catalog"
	"github.com/sallyport/sallyport/internal/inspect/definition"
)

// Kinds of events.
const (
	eventNew        = "definition_new"
	eventChanged    = "definition_changed"
	eventSuspicious = "definition_suspicious"
)

// see compares one definition with its record, and changes the record in p where
// it tells something new.
func (v *view) see(server string, p *page, own map[string]bool, d *definition.Definition) (s catalog.Standing, changed bool, err error) {
	k := key{d.Kind, d.Name}
	if len(d.Raw) > maxDefinition || len(d.Name) > 4096 {
		return catalog.Standing{State: catalog.Held, Why: fmt.Sprintf("it is larger than %d bytes", maxDefinition)}, false, nil
	}
	canonical, hash, err := definition.Canonical(d.Raw)
	if err != nil {
		return s, false, err
	}
	old, known := p.records[k]
	if !known && len(p.records) >= maxRecords {
		return catalog.Standing{State: catalog.Held, Why: fmt.Sprintf("the server has defined more than %d things", maxRecords)}, false, nil
	}
	r := Record{Kind: d.Kind, Name: d.Name}
	if known {
		r = *old
	}
	now := &Form{Hash: hash, Definition: canonical, At: v.now().UTC()}
	var events []catalog.Event
	switch {
	case r.Pinned != nil && r.Pinned.Hash == hash:
		changed = r.Offered != nil
		r.Offered = nil // it is again what was pinned
		if changed {
			r.Suspicions, r.Doubted = nil, false
		}
	case r.Offered != nil && r.Offered.Hash == hash: // told already
	default:
		changed = true
		var worst string
		worst, r.Suspicions, events = v.judge(server, own, d, canonical)
		r.Doubted = worst == "quarantine"
		switch {
		case r.Pinned != nil:
			r.Offered = now
			events = append([]catalog.Event{{Kind: eventChanged, Detail: describe(server, d, r.Pinned, now)}}, events...)
		case v.config.Pin == "approved_only" || worst == "quarantine" || known:
			r.Offered = now
			events = append([]catalog.Event{{Kind: eventNew, Detail: label(server, d) + " waits to be pinned"}}, events...)
		default:
			now.By = firstUse
			r.Pinned = now
		}
	}
	if !known && d.Kind == definition.Tool {
		v.names.add(tool{server, d.Name}) // the rest of the list is held against it
	}
	p.records[k] = &r
	p.seen[k] = digest(d.Raw)
	s = v.standing(&r)
	s.Events = events
	return s, changed, nil
}

const firstUse = "first use"

// judge looks for what is suspicious about a definition, as far as the
// configuration wants to know.
func (v *view) judge(server string, own map[string]bool, d *definition.Definition, canonical []byte) (worst string, suspicions []string, events []catalog.Event) {
	for _, f := range v.suspect.findings(&v.names, server, own, d, canonical) {
		action := v.action(f.kind)
		if action == "ignore" {
			continue
		}
		if worst != "quarantine" {
			worst = action
		}
		suspicions = append(suspicions, f.detail)
		events = append(events, catalog.Event{Kind: eventSuspicious, Detail: label(server, d) + ": " + f.detail})
	}
	return worst, suspicions, events
}

func (v *view) action(k findingKind) string {
	s := &v.config.Suspicion
	switch k {
	case lookalike:
		return s.Lookalike
	case sameName:
		return s.SameName
	case namesOther:
		return s.NamesOther
	case hidden:
		return s.Hidden
	default:
		return s.Instructions
	}
}

func label(server string, d *definition.Definition) string {
	return strings.TrimSpace(fmt.Sprintf("%s of %s %+q", d.Kind, server, d.Name))
}

// describe says how a definition changed, in a few lines' worth of text.
func describe(server string, d *definition.Definition, before, after *Form) string {
	changes, err := definition.Compare(before.Definition, after.Definition)
	if err != nil {
		return label(server, d) + " has changed"
	}
	const most = 6
	var parts []string
	for i, c := range changes {
		if i == most {
			parts = append(parts, fmt.Sprintf("and %d more", len(changes)-most))
			break
		}
		parts = append(parts, c.String())
	}
	return label(server, d) + " has changed: " + strings.Join(parts, "; ")
}
