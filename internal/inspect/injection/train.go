package injection

import (
	"bytes"
	"hash/fnv"
	"math"
	"math/rand/v2"
)

// Record is one labelled text.
type Record struct {
	ID       string
	Text     string
	Label    int
	Category string
	Spans    []struct{ Start, End int }
}

// Example is a folded sentence with its label and weight.
type Example struct {
	sentence []byte
	concepts concept
	Label    int
	Weight   float64
}

// Examples appends the sentences that a record teaches: of an injection only
// what was injected, so that no model learns the documents around it. Long
// texts of one kind do not count more than short ones.
func (r *Record) Examples(dst []Example) []Example {
	parts := []string{r.Text}
	if r.Label == 1 {
		if parts = parts[:0]; r.Category == "invisible_unicode" {
			return dst // rules find these
		}
		for _, s := range r.Spans {
			parts = append(parts, r.Text[s.Start:s.End])
		}
	}
	from := len(dst)
	for _, p := range parts {
		Sentences([]byte(p), func(s []byte) {
			n := 0
			c := words().concepts(s)
			features(s, c, func(uint32) { n++ })
			if n >= 6 {
				dst = append(dst, Example{sentence: bytes.Clone(s), concepts: c, Label: r.Label})
			}
		})
	}
	for i := from; i < len(dst); i++ {
		dst[i].Weight = 1 / math.Sqrt(float64(len(dst)-from))
	}
	return dst
}

const (
	rounds = 12
	rate   = 0.35
	decay  = 2e-6
)

// Train fits a logistic regression. Sentences that say the same, as templates
// do, count once; both kinds weigh the same in all.
func Train(examples []Example, seed uint64) *Model {
	examples = distinct(examples)
	var total [2]float64
	for _, e := range examples {
		total[e.Label] += e.Weight
	}
	for i := range examples {
		e := &examples[i]
		e.Weight *= (total[0] + total[1]) / (2 * total[e.Label]) / ((total[0] + total[1]) / float64(len(examples)))
	}
	rng := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // the same training gives the same model
	w := make([]float64, buckets)
	mean := make([]float64, buckets)
	squares := make([]float64, buckets)
	bias, biasMean := 0.0, 0.0
	var at []uint32
	for range rounds {
		rng.Shuffle(len(examples), func(i, j int) { examples[i], examples[j] = examples[j], examples[i] })
		for i := range examples {
			e := &examples[i]
			at = at[:0]
			features(e.sentence, e.concepts, func(k uint32) { at = append(at, k) })
			norm := 1 / math.Sqrt(float64(len(at)))
			z := bias
			for _, k := range at {
				z += w[k] * norm
			}
			g := (1/(1+math.Exp(-z)) - float64(e.Label)) * e.Weight
			for _, k := range at {
				step := g*norm + decay*w[k]
				squares[k] += step * step
				w[k] -= rate * step / (0.1 + math.Sqrt(squares[k]))
			}
			bias -= 0.01 * g
		}
		for k := range w {
			mean[k] += w[k] / rounds
		}
		biasMean += bias / rounds
	}
	return Quantise(mean, biasMean)
}

// distinct drops sentences that are the same but for numbers and word order.
func distinct(examples []Example) []Example {
	seen := make(map[uint64]bool)
	var out []Example
	for _, e := range examples {
		key := uint64(e.Label)
		features(e.sentence, e.concepts, func(k uint32) {
			h := fnv.New64a()
			_, _ = h.Write([]byte{byte(k), byte(k >> 8)})
			key += h.Sum64()
		})
		if !seen[key] {
			seen[key] = true
			out = append(out, e)
		}
	}
	return out
}
