// Command train makes the weights of the injection model:
//
//	go run ./eval/train -out internal/inspect/injection/weights.bin
//
// It learns from the development data, from harmless texts of others, and from
// what the grammars in eval/corpus make. The same seed gives the same weights.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/sallyport/sallyport/eval/learn"
	"github.com/sallyport/sallyport/internal/inspect/injection"
)

func main() {
	out := flag.String("out", "", "file for the weights")
	data := flag.String("data", "eval/testdata/injection", "folder with the texts")
	seed := flag.Uint64("seed", 1, "order of the examples, and what the grammars make")
	flag.Parse()
	if err := run(*data, *out, *seed); err != nil {
		fmt.Fprintln(os.Stderr, "train:", err)
		os.Exit(1)
	}
}

func run(data, out string, seed uint64) error {
	records, err := learn.Records(data, seed, learn.PerLine)
	if err != nil {
		return err
	}
	var c injection.Corpus
	for i := range records {
		c.Add(&records[i])
	}
	m := injection.Train(c.Examples, seed)
	fmt.Fprintf(os.Stderr, "trained on %d sentences of %d texts\n", len(c.Examples), len(records))
	return os.WriteFile(out, m.Marshal(), 0o644) //nolint:gosec // weights are no secret
}
