package injection

import (
	"hash/fnv"
	"math"
	"slices"
)

// Record is one labelled text.
type Record struct {
	ID       string
	Text     string
	Label    int
	Category string
	Channel  string
	Source   string // texts of one source are much alike
	Spans    []struct{ Start, End int }
}

// Example is what a sentence is to the model, with its label and weight.
type Example struct {
	at     []uint32
	from   Channel
	text   int    // examples of one text have one number
	source uint32 // and those of one source
	Label  int
	Weight float64
}

// Corpus collects examples.
type Corpus struct {
	Examples []Example
	texts    int
}

// Add adds the sentences that a record teaches: of an injection only what was
// injected, so that no model learns the documents around it. Long texts do not
// count more than short ones.
func (c *Corpus) Add(r *Record) {
	parts := []string{r.Text}
	if r.Label == 1 {
		if r.Category == "invisible_unicode" {
			return // rules find these
		}
		if len(r.Spans) > 0 {
			parts = parts[:0]
			for _, s := range r.Spans {
				parts = append(parts, r.Text[s.Start:s.End])
			}
		}
	}
	from := len(c.Examples)
	c.texts++
	source := wordHash([]byte(r.Source))
	if r.Source == "" {
		source = uint32(c.texts)
	}
	l := words()
	for _, p := range parts {
		seen([]byte(p), func(s []byte) {
			tokens := tokenise(nil, s)
			at := features(nil, s, tokens, l.concepts(s, tokens))
			if len(at) >= fewFeatures/2 {
				c.Examples = append(c.Examples, Example{at: at, from: ChannelOf(r.Channel), text: c.texts, source: source, Label: r.Label})
			}
		})
	}
	for i := from; i < len(c.Examples); i++ {
		c.Examples[i].Weight = 1 / math.Sqrt(float64(len(c.Examples)-from))
		if r.Category == "sentences" {
			c.Examples[i].Weight *= 0.3
		}
	}
}

const (
	rounds = 8
	rate   = 0.35
	decay  = 1e-5
	// Each time an example is learnt from, a part of its features is hidden, so
	// that no single one of them decides.
	dropped = 0.1
	// Features of fewer sources say more about those than about the matter.
	sources = 2
)

// Train fits the model twice: the first shows which sentences of a long
// injection are none, and the second leaves them out. Sentences that say the
// same count once; both kinds weigh the same in all.
func Train(examples []Example, seed uint64) *Model {
	examples = common(distinct(examples))
	w := fit(examples, seed)
	best := make(map[int]float64)
	for i := range examples {
		if e := &examples[i]; e.Label == 1 {
			z := w.score(e.at, e.from)
			if b, ok := best[e.text]; !ok || z > b {
				best[e.text] = z
			}
		}
	}
	examples = slices.DeleteFunc(examples, func(e Example) bool {
		return e.Label == 1 && w.score(e.at, e.from) < min(0, best[e.text])
	})
	w = fit(examples, seed)
	var each [channels][]float64
	var bias [channels]float64
	for c := range each {
		each[c] = make([]float64, buckets)
		for k := range each[c] {
			each[c][k] = w.shared[k] + w.own[c][k]
		}
		bias[c] = w.bias[channels] + w.bias[c]
	}
	return quantise(each, bias)
}

// common drops features that only few sources have.
func common(examples []Example) []Example {
	var last [sources][buckets]uint32
	for _, e := range examples {
	next:
		for _, k := range e.at {
			for i := range last {
				if last[i][k] == e.source {
					continue next
				}
				if last[i][k] == 0 {
					last[i][k] = e.source
					continue next
				}
			}
		}
	}
	for i := range examples {
		e := &examples[i]
		e.at = slices.DeleteFunc(slices.Clone(e.at), func(k uint32) bool { return last[sources-1][k] == 0 })
	}
	return slices.DeleteFunc(examples, func(e Example) bool { return len(e.at) == 0 })
}

// distinct drops sentences that are the same but for numbers and word order.
func distinct(examples []Example) []Example {
	seen := make(map[uint64]bool)
	var out []Example
	for _, e := range examples {
		key := uint64(e.Label) + uint64(e.from)<<8
		for _, k := range e.at {
			h := fnv.New64a()
			_, _ = h.Write([]byte{byte(k), byte(k >> 8)})
			key += h.Sum64()
		}
		if !seen[key] {
			seen[key] = true
			out = append(out, e)
		}
	}
	return out
}
