package recogniser

import (
	"errors"
	"fmt"
	"strings"
)

// test runs the tests of every recogniser against the whole set.
func (s *Set) test() error {
	var errs []error
	scanner := s.NewScanner()
	for _, r := range s.recognisers {
		for _, t := range r.Tests.Find {
			before, rest, ok := strings.Cut(t, "«")
			value, after, ok2 := strings.Cut(rest, "»")
			if !ok || !ok2 {
				errs = append(errs, fmt.Errorf("recogniser: %s: test %q marks no finding with « and »", r.Type, t))
				continue
			}
			text := before + value + after
			hit := false
			for _, f := range scanner.Scan(nil, Leaf{Text: []byte(text)}) {
				hit = hit || f.Type == r.Type && text[f.Start:f.End] == value
			}
			if !hit {
				errs = append(errs, fmt.Errorf("recogniser: %s: test %q: %s", r.Type, t, shown(scanner, text)))
			}
		}
		for _, t := range r.Tests.Miss {
			for _, f := range scanner.Scan(nil, Leaf{Text: []byte(t)}) {
				if f.Type == r.Type {
					errs = append(errs, fmt.Errorf("recogniser: %s: test %q must have no finding: %s", r.Type, t, shown(scanner, t)))
				}
			}
		}
	}
	return errors.Join(errs...)
}

func shown(s *Scanner, text string) string {
	var b strings.Builder
	for _, f := range s.Scan(nil, Leaf{Text: []byte(text)}) {
		fmt.Fprintf(&b, "found %s %q %.2f; ", f.Type, text[f.Start:f.End], f.Score)
	}
	if b.Len() == 0 {
		return "found nothing"
	}
	return b.String()
}
