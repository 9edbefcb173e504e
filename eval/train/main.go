// Command train makes the weights of the injection model:
//
//	go run ./eval/train -out internal/inspect/injection/weights.bin eval/testdata/injection/*.jsonl
//
// Each file holds JSON lines with text, label and, for label 1, the spans of
// the injected bytes; the sentences in the spans are the examples of one kind,
// those of texts with label 0 of the other. The same files and seed give the
// same weights.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/sallyport/sallyport/internal/inspect/injection"
)

func main() {
	out := flag.String("out", "", "file for the weights")
	seed := flag.Uint64("seed", 1, "order of the examples")
	without := flag.String("without", "", "category to leave out, for a test on it")
	flag.Parse()
	if err := run(*out, *seed, *without, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "train:", err)
		os.Exit(1)
	}
}

func run(out string, seed uint64, without string, files []string) error {
	var examples []injection.Example
	for _, name := range files {
		more, err := read(name, without)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		examples = append(examples, more...)
	}
	m := injection.Train(examples, seed)
	fmt.Fprintf(os.Stderr, "trained on %d sentences\n", len(examples))
	return os.WriteFile(out, m.Marshal(), 0o644) //nolint:gosec // weights are no secret
}

func read(name, without string) ([]injection.Example, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []injection.Example
	s := bufio.NewScanner(f)
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		var r injection.Record
		if err := json.Unmarshal(s.Bytes(), &r); err != nil {
			return nil, err
		}
		if without == "" || !strings.EqualFold(r.Category, without) {
			out = r.Examples(out)
		}
	}
	return out, s.Err()
}
