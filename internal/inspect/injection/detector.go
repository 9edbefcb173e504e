// Package injection estimates how likely a text tries to instruct the model
// that reads it: rules about what sentences speak of, marks of forged turns,
// text that readers do not see, and a small linear model.
package injection

import (
	"bytes"
	"errors"
	"math"

	"github.com/sallyport/sallyport/internal/inspect/view"
)

// Detector scores texts. It is for one goroutine; detectors share their model.
type Detector struct {
	model   *Model
	lexicon *lexicon
	view    view.View
	folded  []byte
	scratch []byte
}

// New returns a detector with a model, or with rules alone when it is nil.
func New(m *Model) (*Detector, error) {
	l := words()
	if l == nil || len(l.words) == 0 {
		return nil, errors.New("injection: new: the concepts cannot be read")
	}
	return &Detector{model: m, lexicon: l}, nil
}

// Score returns a number from 0 to 1, the higher the more likely.
func (d *Detector) Score(text []byte) float64 {
	tagged, tags, run := hidden(text)
	hiddenScore := 0.0
	switch {
	case tags >= 4:
		hiddenScore = 0.99
		if len(tagged) > 0 {
			hiddenScore = 1
		}
	case run >= 16:
		hiddenScore = 0.9
	}
	d.view.Reset(text)
	best := d.plain(d.view.Text)
	d.scratch = view.EachEncoded(d.view.Text, d.scratch, func(e view.Encoded) {
		if s := d.plain(e.Plain); s > 0.5 { // who encodes an instruction has a reason
			best = max(best, min(0.98, s+0.1))
		}
	})
	return max(best, hiddenScore)
}

// plain scores a canonical text: its worst sentence, or pair of sentences, tells.
func (d *Detector) plain(text []byte) float64 {
	d.folded = fold(d.folded[:0], text)
	best := 0.0
	var before concept
	var last sum
	suspicious := 0
	sentences(d.folded, func(s []byte) {
		c := d.lexicon.concepts(s)
		byRule := judge(c)
		if pair := judge(c | before); before != 0 && pair*0.9 > byRule {
			byRule = pair * 0.9 // said in two sentences
		}
		before = c
		byModel := 0.5
		if d.model != nil {
			now := d.model.sum(s, c)
			byModel = d.model.probability(sum{now.total + last.total, now.n + last.n})
			if now.n >= fewFeatures {
				byModel = max(byModel, d.model.probability(now))
			}
			if now.n+last.n < 2*fewFeatures {
				byModel = min(byModel, 0.5) // too little to tell
			}
			last = now
		}
		score := combine(byRule, byModel, d.model != nil)
		if score >= 0.8 {
			suspicious++
		}
		best = max(best, score)
	})
	if suspicious > 1 { // whoever means it says more than one thing
		best = 1 - (1-best)*math.Pow(0.9, float64(min(suspicious, 8)-1))
	}
	return 1 - (1-best)*(1-0.9*forged(d.folded))
}

// fewFeatures is how many features a sentence needs to tell anything.
const fewFeatures = 16

// combine weighs both: a rule counts half where the model has learnt that such
// sentences are harmless, and together they convince more than alone.
func combine(byRule, byModel float64, hasModel bool) float64 {
	if !hasModel {
		return byRule
	}
	return 1 - (1-0.9*byRule*(0.5+0.5*min(1, 3*byModel)))*(1-0.9*byModel)
}

// Sentences calls visit for the folded sentences of a text, as the model sees
// them. Training uses it.
func Sentences(text []byte, visit func([]byte)) {
	var v view.View
	v.Reset(text)
	sentences(fold(nil, bytes.Clone(v.Text)), visit)
}
