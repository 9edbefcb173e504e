package lines

import (
	"encoding/json"
	"math"

	"github.com/sallyport/sallyport/internal/inspect/injection"
	"github.com/sallyport/sallyport/internal/inspect/wire"
)

type likelihood struct {
	ID        json.RawMessage `json:"id,omitempty"`
	Injection float64         `json:"injection"`
}

// NewInjection returns the detector for text that instructs its reader. JSON is
// judged by its worst text.
func NewInjection() (Detector, error) {
	m, err := injection.Shipped()
	if err != nil {
		return nil, err
	}
	d, err := injection.New(m)
	if err != nil {
		return nil, err
	}
	var reader wire.Reader
	return func(line []byte) (any, error) {
		var r Record
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, err
		}
		text, from := r.content(), injection.ChannelOf(r.Channel)
		score := 0.0
		if isContainer(text) {
			err := reader.EachText(text, func(t *wire.Text) { score = max(score, d.Score(from, t.Value)) })
			if err == nil {
				return likelihood{r.ID, round(score)}, nil
			}
		}
		return likelihood{r.ID, round(d.Score(from, text))}, nil
	}, nil
}

func round(f float64) float64 { return math.Round(f*1e6) / 1e6 }
