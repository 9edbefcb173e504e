// Package injection estimates how likely a text tries to instruct the model
// that reads it: rules about what sentences speak of, marks of forged turns,
// text that readers do not see, and a small linear model.
package injection

import (
	"bytes"
	"errors"

	"github.com/sallyport/sallyport/internal/inspect/view"
)

// Detector scores texts. It is for one goroutine; detectors share their model.
type Detector struct {
	model   *Model
	lexicon *lexicon
	view    view.View
	folded  []byte
	scratch []byte
	spelled []byte
	tokens  []token
	at      []uint32
}

// New returns a detector with a model, or with rules alone when it is nil.
func New(m *Model) (*Detector, error) {
	l := words()
	if l == nil || len(l.words) == 0 {
		return nil, errors.New("injection: new: the concepts cannot be read")
	}
	return &Detector{model: m, lexicon: l}, nil
}

// Score returns a number from 0 to 1 for a text of the channel from, the higher the
// more likely.
func (d *Detector) Score(from Channel, text []byte) float64 {
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
	best := d.plain(d.view.Text, from)
	d.scratch = view.EachEncoded(d.view.Text, d.scratch, func(e view.Encoded) {
		if s := d.plain(e.Plain, from); s > 0.5 { // who encodes an instruction has a reason
			best = max(best, min(0.98, s+0.1))
		}
	})
	if d.spelled = spaced(d.spelled[:0], d.view.Text); len(d.spelled) > 0 {
		best = max(best, d.plain(d.spelled, from))
	}
	return max(best, hiddenScore)
}

// plain scores a canonical text: its worst sentence, or pair of sentences, tells.
func (d *Detector) plain(text []byte, from Channel) float64 {
	d.folded = fold(d.folded[:0], text)
	best := 0.0
	var before concept
	var last sum
	sentences(d.folded, func(s []byte) {
		d.tokens = tokenise(d.tokens[:0], s)
		c := d.lexicon.concepts(s, d.tokens)
		if d.model == nil {
			best = max(best, judge(c), 0.9*judge(c|before))
			before = c
			return
		}
		d.at = features(d.at[:0], s, d.tokens, c)
		now := d.model.sum(d.at, from)
		both := now.plus(last)
		if now.n >= fewFeatures {
			best = max(best, d.model.probability(now, from))
		}
		if both.n >= 2*fewFeatures {
			best = max(best, d.model.probability(both, from))
		}
		last = now
	})
	return 1 - (1-best)*(1-0.9*forged(d.folded))
}

// fewFeatures is how many features a sentence needs to tell anything.
const fewFeatures = 12

// seen calls visit for the folded sentences of a text, as the model sees them.
// Training uses it.
func seen(text []byte, visit func([]byte)) {
	var v view.View
	v.Reset(text)
	sentences(fold(nil, bytes.Clone(v.Text)), visit)
}
