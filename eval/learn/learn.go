// Package learn collects what the injection model learns from.
package learn

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/eval/corpus"
	"github.com/sallyport/sallyport/internal/inspect/injection"
)

// files are the texts that are learnt from. Those named unseen are not among
// them, and never will be.
var files = []string{"injection_dev.jsonl", "extra.jsonl", "harmless_modules.jsonl", "harmless_sentences.jsonl"}

// PerLine is how many texts the shipped model sees of each line of the grammars.
const PerLine = 200

// Records returns all texts to learn from: those in the folder, and what the
// grammars make, perLine of each of their lines.
func Records(folder string, seed uint64, perLine int) ([]injection.Record, error) {
	var out []injection.Record
	for _, name := range files {
		more, err := read(filepath.Join(folder, name))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, more...)
	}
	g, err := corpus.Shipped()
	if err != nil {
		return nil, err
	}
	for _, t := range g.Make(seed, perLine) {
		out = append(out, injection.Record{Text: t.Text, Label: t.Label, Category: t.Family, Channel: t.Channel, Source: t.Line})
	}
	return out, nil
}

func read(name string) ([]injection.Record, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []injection.Record
	s := bufio.NewScanner(f)
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		var r injection.Record
		if err := json.Unmarshal(s.Bytes(), &r); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, s.Err()
}
