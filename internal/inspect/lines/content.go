// Package lines answers records of content, one JSON object a line, with what
// the detectors find in them. It is how detectors are measured and tried out.
package lines

import (
	"math"

	"github.com/sallyport/sallyport/internal/inspect/recogniser"
	"github.com/sallyport/sallyport/internal/inspect/wire"
)

// Finding is one finding, in bytes of the record's text.
type Finding struct {
	Type  string  `json:"type"`
	Start int     `json:"start"`
	End   int     `json:"end"`
	Score float32 `json:"score"`
}

// content finds personal data or secrets in wire text or plain text.
type content struct {
	scanner *recogniser.Scanner
	reader  wire.Reader
	found   []recogniser.Finding
}

func newContent(class recogniser.Class, own []recogniser.Recogniser) (*content, error) {
	list, err := recogniser.Builtin(class)
	if err != nil {
		return nil, err
	}
	for _, r := range own {
		if r.Class == class {
			list = append(list, r)
		}
	}
	set, err := recogniser.Compile(list)
	if err != nil {
		return nil, err
	}
	return &content{scanner: set.NewScanner()}, nil
}

// find returns the findings in raw: JSON where it is JSON, an event stream where
// channel says so, and plain text otherwise.
func (c *content) find(raw []byte, channel string) []Finding {
	out := []Finding{}
	if channel != "sse" {
		return c.part(out, raw, func(i int) int { return i })
	}
	wire.EachEvent(raw, func(data []byte, at func(int) int) { out = c.part(out, data, at) })
	return out
}

func (c *content) part(out []Finding, raw []byte, at func(int) int) []Finding {
	if !isContainer(raw) {
		return c.plain(out, raw, at)
	}
	before := len(out)
	err := c.reader.EachText(raw, func(t *wire.Text) {
		c.found = c.scanner.Scan(c.found[:0], recogniser.Leaf{Text: t.Value, Key: t.Key, Parent: t.Parent, Beside: t.Beside})
		for _, f := range c.found {
			start, end := t.Span(f.Start, f.End)
			out = append(out, Finding{f.Type, at(start), at(end-1) + 1, rounded(f.Score)})
		}
	})
	if err != nil { // not JSON after all
		return c.plain(out[:before], raw, at)
	}
	return out
}

func (c *content) plain(out []Finding, raw []byte, at func(int) int) []Finding {
	c.found = c.scanner.Scan(c.found[:0], recogniser.Leaf{Text: raw})
	for _, f := range c.found {
		out = append(out, Finding{f.Type, at(f.Start), at(f.End-1) + 1, rounded(f.Score)})
	}
	return out
}

// rounded leaves out digits that are only sums of binary fractions.
func rounded(score float32) float32 {
	return float32(math.Round(float64(score)*1000) / 1000)
}

func isContainer(raw []byte) bool {
	for _, c := range raw {
		switch c {
		case ' ', '\t', '\r', '\n':
			continue
		}
		return c == '{' || c == '['
	}
	return false
}
