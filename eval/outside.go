package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/eval/scores"
	"github.com/sallyport/sallyport/eval/shapes"
	"github.com/sallyport/sallyport/internal/inspect/lines"
	"github.com/sallyport/sallyport/internal/inspect/recogniser"
)

// shared is a text that all tools are asked about.
type shared struct {
	ID       string        `json:"id"`
	Kind     string        `json:"kind"`
	Set      string        `json:"set"`
	Text     string        `json:"text"`
	Spans    []scores.Span `json:"spans"`
	Harmless bool          `json:"harmless"`
}

// shared returns the texts that tools are compared on: the development data that
// is plain text, and made ones.
func (e *evaluation) shared() ([]shared, error) {
	var out []shared
	for _, kind := range []string{"pii", "secrets"} {
		records, err := e.read(filepath.Join(kind, kind+"_dev.jsonl"))
		if err != nil {
			return nil, err
		}
		for i := range records {
			r := &records[i]
			if r.Channel == "sse" {
				continue // nobody else reads streams
			}
			out = append(out, shared{kind + r.ID, kind, "development", string(r.Content()), r.Spans, r.Class == "negative"})
		}
		made := shapes.Personal(e.seed, 1)
		if kind == "secrets" {
			made = shapes.Secrets(e.seed, 8)
		}
		for i, t := range append(made, shapes.Harmless(e.seed, 8)...) {
			s := shared{fmt.Sprint(kind, " made ", i), kind, "made", t.Text, nil, t.Type == ""}
			if !s.Harmless {
				s.Spans = []scores.Span{{Type: t.Type, Start: t.Start, End: t.End}}
			}
			out = append(out, s)
		}
	}
	return out, nil
}

// export writes the texts for the other tools.
func (e *evaluation) export(name string) error {
	list, err := e.shared()
	if err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	enc := json.NewEncoder(f)
	for _, s := range list {
		if err := enc.Encode(s); err != nil {
			return err
		}
	}
	return f.Close()
}

// others prints what other tools found beside what this one finds. Types need
// not agree, for every tool has names of its own.
func (e *evaluation) others() error {
	list, err := e.shared()
	if err != nil {
		return err
	}
	answers := map[string]map[string][]scores.Span{}
	for kind, class := range map[string]recogniser.Class{"pii": recogniser.PII, "secrets": recogniser.Secret} {
		d, err := lines.NewContent(class)
		if err != nil {
			return err
		}
		name := "sallyport, " + kind
		answers[name] = make(map[string][]scores.Span)
		for _, s := range list {
			if s.Kind != kind {
				continue
			}
			var f found
			if err := ask(d, plain{Text: s.Text, Channel: "text"}, &f); err != nil {
				return err
			}
			answers[name][s.ID] = f.Findings
		}
	}
	if err := e.theirs(answers); err != nil {
		return err
	}
	var names []string
	for n := range answers {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, set := range []string{"development", "made"} {
		for _, n := range names {
			e.compare(set, n, answers[n], list)
		}
	}
	return nil
}

// theirs reads what eval/outside/tools.py wrote, if it ran.
func (e *evaluation) theirs(answers map[string]map[string][]scores.Span) error {
	f, err := os.Open(filepath.Join(e.outside, "found.jsonl"))
	if errors.Is(err, fs.ErrNotExist) {
		e.row("other tools", "were not run; make eval does")
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		var a struct {
			Tool, ID string
			Findings []scores.Span
		}
		if err := json.Unmarshal(s.Bytes(), &a); err != nil {
			return err
		}
		if answers[a.Tool] == nil {
			answers[a.Tool] = make(map[string][]scores.Span)
		}
		answers[a.Tool][a.ID] = a.Findings
	}
	return s.Err()
}

func (e *evaluation) compare(set, name string, answers map[string][]scores.Span, list []shared) {
	groups := map[string]map[string]*scores.Counts{}
	flagged, harmless := 0, 0
	for _, s := range list {
		found, asked := answers[s.ID]
		if !asked || s.Set != set {
			continue
		}
		if s.Harmless {
			if harmless++; len(found) > 0 {
				flagged++
			}
			continue
		}
		group := s.Kind
		if len(s.Spans) > 0 && free(s.Spans[0].Type) {
			group = s.Spans[0].Type
		}
		if groups[group] == nil {
			groups[group] = make(map[string]*scores.Counts)
		}
		scores.Score(groups[group], s.Spans, found, true)
	}
	var parts []string
	for _, g := range []string{"pii", "secrets", "PERSON", "LOCATION"} {
		var sum scores.Counts
		for _, c := range groups[g] {
			sum.Hit, sum.Missed, sum.False = sum.Hit+c.Hit, sum.Missed+c.Missed, sum.False+c.False
		}
		if sum.Hit+sum.Missed > 0 {
			parts = append(parts, fmt.Sprintf("%s recall %.2f F2 %.2f", g, sum.Recall(), sum.F2()))
		}
	}
	if len(parts) > 0 {
		e.row(set+": "+name, "%s  harmless flagged %d of %d", strings.Join(parts, ", "), flagged, harmless)
	}
}
