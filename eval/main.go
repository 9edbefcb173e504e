// Command eval measures the content detectors and prints a table: on the
// development data, on variants of it in other shapes, and against evasions.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport/sallyport/eval/scores"
	"github.com/sallyport/sallyport/internal/inspect/lines"
	"github.com/sallyport/sallyport/internal/inspect/recogniser"
)

func main() {
	dir := flag.String("data", "eval/testdata", "folder with the data")
	outside := flag.String("outside", ".tools/eval", "folder with what other tools found, and the sets of others")
	seed := flag.Uint64("seed", 1, "of the made texts")
	only := flag.String("only", "", "measure one part: pii, secrets, shapes, injection, destinations, sanitize or others")
	export := flag.String("export", "", "write the texts for other tools to this file, and end")
	verbose := flag.Bool("v", false, "print every miss and false alarm")
	flag.Parse()
	e := &evaluation{dir: *dir, outside: *outside, seed: *seed, only: *only, out: os.Stdout, verbose: *verbose}
	run := e.run
	if *export != "" {
		run = func() error { return e.export(*export) }
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "eval:", err)
		os.Exit(1)
	}
}

type evaluation struct {
	dir     string
	outside string
	seed    uint64
	only    string
	out     io.Writer
	verbose bool
}

func (e *evaluation) run() error {
	for _, part := range []struct {
		name string
		run  func() error
	}{{"pii", e.pii}, {"secrets", e.secrets}, {"shapes", e.shapes}, {"injection", e.injection}, {"destinations", e.destinations}, {"sanitize", e.sanitize}, {"others", e.others}} {
		if e.only != "" && e.only != part.name {
			continue
		}
		if err := part.run(); err != nil {
			return err
		}
	}
	return nil
}

func (e *evaluation) row(what string, format string, args ...any) {
	fmt.Fprintf(e.out, "%-46s %s\n", what, fmt.Sprintf(format, args...))
}

func (e *evaluation) read(name string) ([]scores.Record, error) {
	return scores.Read(filepath.Join(e.dir, name))
}

// ask has a detector answer a record, through the line protocol.
func ask(d lines.Detector, record any, answer any) error {
	line, ok := record.([]byte)
	if !ok {
		var err error
		if line, err = json.Marshal(record); err != nil {
			return err
		}
	}
	got, err := d(line)
	if err != nil {
		return err
	}
	b, err := json.Marshal(got)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, answer)
}

type found struct{ Findings []scores.Span }

type plain struct {
	Text    string `json:"text"`
	Channel string `json:"channel"`
}

// free are the types that are free text.
func free(t string) bool { return t == "PERSON" || t == "LOCATION" }

// content measures one detector of spans and returns the labelled records.
func (e *evaluation) content(name string, class recogniser.Class, loose bool) (lines.Detector, []scores.Record, error) {
	d, err := lines.NewContent(class)
	if err != nil {
		return nil, nil, err
	}
	records, err := e.read(filepath.Join(name, name+"_dev.jsonl"))
	if err != nil {
		return nil, nil, err
	}
	counts := make(map[string]*scores.Counts)
	flagged, harmless := 0, 0
	for i := range records {
		r := &records[i]
		var f found
		if err := ask(d, r.Line, &f); err != nil {
			return nil, nil, err
		}
		scores.Score(counts, r.Spans, f.Findings, loose)
		if r.Class == "negative" {
			if harmless++; len(f.Findings) > 0 {
				flagged++
			}
		}
	}
	var structured scores.Counts
	macro := 0.0
	for t, c := range counts {
		macro += c.F2() / float64(len(counts))
		if !free(t) {
			structured.Hit, structured.Missed, structured.False = structured.Hit+c.Hit, structured.Missed+c.Missed, structured.False+c.False
		}
		if e.verbose || free(t) {
			e.row(name+" "+t, "F2 %.3f  recall %.3f  false %d", c.F2(), c.Recall(), c.False)
		}
	}
	e.row(name+", development data", "F2 %.3f  macro F2 %.3f  harmless flagged %.1f %%", structured.F2(), macro, 100*float64(flagged)/float64(harmless))
	return d, records, nil
}

func (e *evaluation) pii() error {
	d, records, err := e.content("pii", recogniser.PII, false)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(e.dir, "labels.yaml"))
	if err != nil {
		return err
	}
	var labels map[string][]string
	if err := yaml.Load(text, &labels); err != nil {
		return err
	}
	values := scores.Values(records, 5)
	all := make(map[string]*scores.Counts)
	byType := make(map[string]*scores.Counts)
	for _, carrier := range slices.Sorted(maps.Keys(scores.Carriers)) {
		counts := make(map[string]*scores.Counts)
		for t, names := range labels {
			for _, l := range names {
				for _, v := range values[t] {
					text := scores.Carriers[carrier](l, v)
					i := strings.LastIndex(text, v)
					want := []scores.Span{{Type: t, Start: i, End: i + len(v)}}
					var f found
					if err := ask(d, plain{Text: text, Channel: "text"}, &f); err != nil {
						return err
					}
					before := byType[t]
					missed := 0
					if before != nil {
						missed = before.Missed
					}
					scores.Score(counts, want, f.Findings, false)
					scores.Score(byType, want, f.Findings, false)
					if e.verbose && byType[t].Missed > missed {
						e.row("  miss "+t, "%q %v", text, f.Findings)
					}
				}
			}
		}
		var sum scores.Counts
		for _, c := range counts {
			sum.Hit, sum.Missed, sum.False = sum.Hit+c.Hit, sum.Missed+c.Missed, sum.False+c.False
		}
		e.row("pii, other labels, "+carrier, "F2 %.3f  recall %.3f  false %d", sum.F2(), sum.Recall(), sum.False)
		all[carrier] = &sum
	}
	for _, t := range slices.Sorted(maps.Keys(byType)) {
		if c := byType[t]; c.Recall() < 0.95 || c.False > 5 {
			e.row("pii, other labels, weak: "+t, "F2 %.3f  recall %.3f  false %d", c.F2(), c.Recall(), c.False)
		}
	}
	return e.evasions("pii", d, values, func(t string) string {
		if l := labels[t]; len(l) > 0 {
			return l[0] + ": "
		}
		return ""
	})
}

func (e *evaluation) secrets() error {
	d, records, err := e.content("secrets", recogniser.Secret, true)
	if err != nil {
		return err
	}
	return e.evasions("secrets", d, scores.Values(records, 8), func(t string) string {
		switch t {
		case "generic_password", "db_uri_password", "basic_auth_url":
			return "password: "
		case "azure_storage_key":
			return "AccountKey="
		case "aws_secret_access_key":
			return "aws_secret_access_key="
		case "generic_api_key", "bearer_opaque", "gcp_service_account", "private_key":
			return "api_key: "
		}
		return ""
	})
}

func (e *evaluation) evasions(name string, d lines.Detector, values map[string][]string, label func(string) string) error {
	for _, evasion := range slices.Sorted(maps.Keys(scores.Evasions)) {
		counts := make(map[string]*scores.Counts)
		for t, list := range values {
			if free(t) {
				continue
			}
			for _, v := range list {
				v = scores.Evasions[evasion](v)
				text := "note: " + label(t) + v + " end"
				i := strings.LastIndex(text, v)
				var f found
				if err := ask(d, plain{Text: text, Channel: "text"}, &f); err != nil {
					return err
				}
				scores.Score(counts, []scores.Span{{Type: t, Start: i, End: i + len(v)}}, f.Findings, name == "secrets")
				if e.verbose && counts[t] != nil && counts[t].Missed > 0 {
					e.row("  evasion "+t, "%q %v", text, f.Findings)
				}
			}
		}
		var sum scores.Counts
		for _, c := range counts {
			sum.Hit, sum.Missed = sum.Hit+c.Hit, sum.Missed+c.Missed
		}
		e.row(name+", evasion "+evasion, "recall %.3f of %d", sum.Recall(), sum.Hit+sum.Missed)
	}
	return nil
}

func (e *evaluation) destinations() error {
	text, err := os.ReadFile(filepath.Join(e.dir, "ssrf/policy.json"))
	if err != nil {
		return err
	}
	p, redirects, err := lines.ReadPolicy(text)
	if err != nil {
		return err
	}
	records, err := e.read("ssrf/ssrf_dev.jsonl")
	if err != nil {
		return err
	}
	d := lines.NewURL(p, redirects)
	var wrong struct{ allowed, denied int }
	for i := range records {
		var v struct{ Verdict string }
		if err := ask(d, records[i].Line, &v); err != nil {
			return err
		}
		switch v.Verdict {
		case records[i].Verdict, records[i].AlsoOK:
		case "allow":
			wrong.allowed++
		default:
			wrong.denied++
		}
	}
	e.row("ssrf, development data", "wrongly allowed %d, wrongly denied %d of %d", wrong.allowed, wrong.denied, len(records))
	return nil
}
