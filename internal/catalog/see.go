package catalog

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/guard/catalog"
	"github.com/sallyport/sallyport/internal/inspect/definition"
	"github.com/sallyport/sallyport/mcp"
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
	if len(d.Name) > maxName {
		return catalog.Standing{State: catalog.Held, Why: fmt.Sprintf("its name is longer than %d bytes", maxName)}, false, nil
	}
	raw, huge := d.Raw, oversized(d)
	if huge { // what is kept says so, and is held like any other change
		raw = stub(d)
	}
	canonical, hash, err := definition.Canonical(raw)
	if err != nil {
		return s, false, err
	}
	old, known := p.records[k]
	if !known && len(p.records) >= maxRecords {
		return catalog.Standing{State: catalog.Held, Why: tooMany}, false, nil
	}
	r := Record{Kind: d.Kind, Name: d.Name}
	if known {
		r = *old
	}
	now := &Form{Hash: hash, Definition: canonical, At: v.now().UTC()}
	var events []catalog.Event
	switch {
	case r.Changes >= maxChanges && r.Offered != nil:
		// It has changed there and back so often that nothing more is learned from
		// it, and nothing more written, until an operator pins a form.
	case r.Pinned != nil && r.Pinned.Hash == hash && !huge:
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
		r.Doubted = worst == "quarantine" || huge
		if known {
			r.Changes++
		}
		if r.Changes >= maxChanges {
			r.Doubted = true
			r.Suspicions = append(r.Suspicions, fmt.Sprintf("it has changed %d times since an operator looked at it", r.Changes))
		}
		if huge {
			worst = "quarantine"
			r.Suspicions = append(r.Suspicions, tooLarge)
			events = append(events, catalog.Event{Kind: eventSuspicious, Detail: label(server, d) + ": " + tooLarge})
		}
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

// maxChanges is how often a definition changes before it is held, whatever the
// configuration says of changes, and left at that.
const maxChanges = 32

// maxName bounds the names that are kept, in bytes.
const maxName = 4096

var tooLarge = fmt.Sprintf("it is larger than %d bytes", maxDefinition)

func oversized(d *definition.Definition) bool { return len(d.Raw) > maxDefinition }

// oversizedKey marks the stub that is kept of what is too large to be kept.
const oversizedKey = "sallyport.dev/oversized"

func stub(d *definition.Definition) json.RawMessage {
	b := mcp.AppendQuote([]byte(`{"name":`), d.Name)
	return fmt.Appendf(b, `,%q:{"bytes":%d,"sha256":"%x"}}`, oversizedKey, len(d.Raw), digest(d.Raw))
}

func (f *Form) stub() bool {
	_, is := mcp.Member(f.Definition, oversizedKey)
	return is
}

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
