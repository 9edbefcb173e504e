package app

import (
	"sync"

	"github.com/sallyport/sallyport/internal/inspect/recogniser"
)

// reveals returns what tells whether a name or an id has a secret or personal data in
// it, by the recognisers that are shipped.
func reveals() (func(text string) bool, error) {
	set, err := recogniser.Standard()
	if err != nil {
		return nil, err
	}
	type memory struct {
		scanner *recogniser.Scanner
		found   []recogniser.Finding
	}
	pool := sync.Pool{New: func() any { return &memory{scanner: set.NewScanner()} }}
	return func(text string) bool {
		m := pool.Get().(*memory)
		defer pool.Put(m)
		m.found = m.scanner.Scan(m.found[:0], recogniser.Leaf{Text: []byte(text)})
		return len(m.found) > 0
	}, nil
}
