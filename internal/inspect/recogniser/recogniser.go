// Package recogniser finds what recognisers describe: patterns, check digits
// and the words around a value, written as data.
package recogniser

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"sort"
	"sync"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport/sallyport/internal/inspect/automaton"
	"github.com/sallyport/sallyport/internal/inspect/checksum"
)

// Class is what kind of thing a recogniser finds.
type Class string

// The classes.
const (
	PII    Class = "pii"
	Secret Class = "secret"
)

// Recogniser describes one type of value. Text is matched in its canonical
// form, and only where words begin and end.
type Recogniser struct {
	Type     string    `yaml:"type"`     // what findings are called
	Class    Class     `yaml:"class"`    // pii or secret
	Patterns []Pattern `yaml:"patterns"` // alternatives
	Check    string    `yaml:"check"`    // check digits or another test of the value; see package checksum
	Context  []string  `yaml:"context"`  // words and phrases that make the type likely; word* takes any ending
	Against  []string  `yaml:"against"`  // words that make it unlikely
	Whole    bool      `yaml:"whole"`    // whole values under a key that Context names are findings if they pass Check
	Tests    Tests     `yaml:"tests"`    // run when the recogniser is loaded
}

// Pattern is one way a value can be written. A match without context has the
// score; with it, a high one. With a group in the expression, the group is the
// finding.
type Pattern struct {
	Regex string  `yaml:"regex"`
	Score float32 `yaml:"score"`
	Loose bool    `yaml:"loose"` // may continue with a dot or hyphen on either side
	Check string  `yaml:"check"` // instead of the recogniser's; none for no check
	First bool    `yaml:"first"` // the shortest match counts, not the longest
	Near  int     `yaml:"near"`  // context counts only in front, in the same line, within so many bytes
}

// Tests are texts with what must be found in them.
type Tests struct {
	Find []string `yaml:"find"` // the finding stands between « and »
	Miss []string `yaml:"miss"`
}

// Threshold is the score from which on a match is a finding.
const Threshold float32 = 0.5

// Set is a number of recognisers, compiled. It is safe for concurrent use.
type Set struct {
	recognisers []Recogniser
	patterns    []compiled
	auto        *automaton.Automaton // of all patterns
	strong      *automaton.Automaton // of those that mean something by themselves
	strongOnes  []int                // their indexes in patterns
	weak        owners               // owners of the others
	words       *lexicon
	begins      [256]bool
}

type compiled struct {
	owner   int
	score   float32
	loose   bool
	near    int
	first   bool
	check   checksum.Func
	early   bool           // check while matching
	extract *regexp.Regexp // nil without a group
}

//go:embed data/*.yaml
var data embed.FS

// Builtin returns the recognisers that are shipped, of the named classes.
func Builtin(classes ...Class) ([]Recogniser, error) {
	var all []Recogniser
	files, err := fs.Glob(data, "data/*.yaml")
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		text, err := data.ReadFile(name)
		if err != nil {
			return nil, err
		}
		list, err := Parse(text)
		if err != nil {
			return nil, fmt.Errorf("recogniser: %s: %w", name, err)
		}
		for _, r := range list {
			for _, c := range classes {
				if r.Class == c {
					all = append(all, r)
				}
			}
		}
	}
	return all, nil
}

// Standard returns the shipped recognisers, compiled once for the process.
func Standard() (*Set, error) { return standard() }

var standard = sync.OnceValues(func() (*Set, error) {
	list, err := Builtin(PII, Secret)
	if err != nil {
		return nil, err
	}
	return Compile(list)
})

// Parse reads a file of recognisers. Unknown keys are errors.
func Parse(text []byte) ([]Recogniser, error) {
	var file struct {
		Recognisers []Recogniser `yaml:"recognisers"`
	}
	if err := yaml.Load(text, &file, yaml.WithKnownFields()); err != nil {
		return nil, err
	}
	return file.Recognisers, nil
}

// Compile makes a set and runs every recogniser's tests in it.
func Compile(list []Recogniser) (*Set, error) {
	s := &Set{recognisers: list, words: newLexicon()}
	var (
		errs  []error
		exprs []string
	)
	if len(list) > maxRecognisers {
		return nil, fmt.Errorf("recogniser: more than %d recognisers", maxRecognisers)
	}
	for i := range list {
		r := &list[i]
		bad := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("recogniser: %s: "+format, append([]any{r.Type}, args...)...))
		}
		if r.Type == "" || r.Class != PII && r.Class != Secret {
			bad("it needs a type and a class, pii or secret")
		}
		if len(r.Patterns) == 0 {
			bad("it has no patterns")
		}
		for _, p := range r.Patterns {
			c, err := p.compile(i, r.Check)
			if err != nil {
				bad("%w", err)
				continue
			}
			c.early = r.Class == PII && c.check != nil && c.extract == nil && c.near == 0
			s.patterns = append(s.patterns, c)
			exprs = append(exprs, p.Regex)
		}
		for _, w := range r.Context {
			s.words.add(w, meaning{owner: int16(i)})
		}
		for _, w := range r.Against {
			s.words.add(w, meaning{owner: int16(i), against: true})
		}
		if len(r.Tests.Find) == 0 {
			bad("it has no tests")
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	var err error
	if s.auto, err = automaton.Compile(exprs); err != nil {
		return nil, fmt.Errorf("recogniser: %w", err)
	}
	var strong []string
	for i, c := range s.patterns {
		if c.score >= Threshold {
			strong = append(strong, exprs[i])
			s.strongOnes = append(s.strongOnes, i)
		} else {
			s.weak[c.owner/64] |= 1 << (c.owner % 64)
		}
	}
	if s.strong, err = automaton.Compile(strong); err != nil {
		return nil, fmt.Errorf("recogniser: %w", err)
	}
	for c := range s.begins {
		s.begins[c] = s.auto.Begins(byte(c))
	}
	if err := s.test(); err != nil {
		return nil, err
	}
	return s, nil
}

func (p Pattern) compile(owner int, check string) (compiled, error) {
	c := compiled{owner: owner, score: p.Score, loose: p.Loose, near: p.Near, first: p.First}
	if p.Check != "" {
		check = p.Check
	}
	if check != "" && check != "none" {
		f, ok := checksum.Lookup(check)
		if !ok {
			return c, fmt.Errorf("there is no check %q", check)
		}
		c.check = f
	}
	if p.Score <= 0 || p.Score > 1 {
		return c, fmt.Errorf("pattern %q: score %v is not between 0 and 1", p.Regex, p.Score)
	}
	re, err := regexp.Compile(`^(?:` + p.Regex + `)$`)
	if err != nil {
		return c, fmt.Errorf("pattern %q: %w", p.Regex, err)
	}
	switch re.NumSubexp() {
	case 0:
	case 1:
		c.extract = re
	default:
		return c, fmt.Errorf("pattern %q: more than one group; write (?:...)", p.Regex)
	}
	return c, nil
}

// Types returns the types of the set with their classes, sorted.
func (s *Set) Types() []Recogniser {
	out := append([]Recogniser(nil), s.recognisers...)
	sort.Slice(out, func(i, j int) bool { return out[i].Type < out[j].Type })
	return out
}
