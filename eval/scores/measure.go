// Package scores measures detectors against labelled texts.
package scores

import (
	"bufio"
	"cmp"
	"encoding/json"
	"os"
	"slices"
)

// Span is a labelled or found part of a text, in bytes.
type Span struct {
	Type       string `json:"type"`
	Start, End int
}

// Record is one labelled text.
type Record struct {
	ID       string `json:"id"`
	Text     string `json:"text"`
	Bytes    []byte `json:"text_b64"`
	Spans    []Span `json:"spans"`
	Class    string `json:"class"`
	Channel  string `json:"channel"`
	Label    int    `json:"label"`
	Category string `json:"category"`
	Verdict  string `json:"verdict"`
	AlsoOK   string `json:"also_ok"`

	Line []byte `json:"-"` // as it was read
}

// Content returns the text in bytes.
func (r *Record) Content() []byte {
	if r.Bytes != nil {
		return r.Bytes
	}
	return []byte(r.Text)
}

// Read reads JSON lines.
func Read(path string) ([]Record, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []Record
	s := bufio.NewScanner(f)
	s.Buffer(nil, 64<<20)
	for s.Scan() {
		r := Record{Line: slices.Clone(s.Bytes())}
		if err := json.Unmarshal(s.Bytes(), &r); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, s.Err()
}

// Counts are hits, misses and false alarms of one type.
type Counts struct{ Hit, Missed, False int }

// F2 weighs recall twice as much as precision.
func (c Counts) F2() float64 {
	if c.Hit == 0 {
		return 0
	}
	return 5 * float64(c.Hit) / float64(5*c.Hit+4*c.Missed+c.False)
}

// Recall is the share of spans that were found.
func (c Counts) Recall() float64 {
	if c.Hit+c.Missed == 0 {
		return 0
	}
	return float64(c.Hit) / float64(c.Hit+c.Missed)
}

// Score adds what was found in one text to the counts by type. A span counts as
// found when findings cover 90 % of it, a finding as right when half of it lies
// in a span. With loose, types need not agree.
func Score(counts map[string]*Counts, want, found []Span, loose bool) {
	at := func(t string) *Counts {
		if counts[t] == nil {
			counts[t] = new(Counts)
		}
		return counts[t]
	}
	for _, w := range want {
		covered := 0
		for _, f := range found { // findings do not overlap
			if loose || f.Type == w.Type {
				covered += max(0, min(f.End, w.End)-max(f.Start, w.Start))
			}
		}
		if covered*10 >= 9*(w.End-w.Start) {
			at(w.Type).Hit++
		} else {
			at(w.Type).Missed++
		}
	}
	for _, f := range found {
		right := slices.ContainsFunc(want, func(w Span) bool {
			return (loose || f.Type == w.Type) && 2*(min(f.End, w.End)-max(f.Start, w.Start)) >= f.End-f.Start
		})
		if !right {
			at(f.Type).False++
		}
	}
}

// Labelled is a score with its truth.
type Labelled struct {
	Score float64
	Label int
}

// AUC is the chance that a positive scores higher than a negative.
func AUC(list []Labelled) float64 {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b Labelled) int { return cmp.Compare(a.Score, b.Score) })
	var positives, negatives, above float64
	for i := 0; i < len(list); {
		var same [2]float64
		score := list[i].Score
		for ; i < len(list) && list[i].Score == score; i++ {
			same[list[i].Label]++
		}
		above += same[1] * (negatives + same[0]/2)
		positives, negatives = positives+same[1], negatives+same[0]
	}
	if positives*negatives == 0 {
		return 0
	}
	return above / (positives * negatives)
}

// RecallAt is the share of positives above the threshold that lets a share of
// the negatives pass it.
func RecallAt(list []Labelled, share float64) (recall, threshold float64) {
	var negatives []float64
	hit, all := 0, 0
	for _, l := range list {
		if l.Label == 0 {
			negatives = append(negatives, l.Score)
		}
	}
	slices.SortFunc(negatives, func(a, b float64) int {
		if a > b {
			return -1
		}
		return 1
	})
	if len(negatives) == 0 {
		return 0, 0
	}
	threshold = negatives[min(len(negatives)-1, int(share*float64(len(negatives))))]
	for _, l := range list {
		if l.Label == 1 {
			all++
			if l.Score > threshold {
				hit++
			}
		}
	}
	return float64(hit) / float64(max(1, all)), threshold
}
