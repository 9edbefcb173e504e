package lines

import (
	"encoding/json"

	"github.com/sallyport/sallyport/internal/inspect/normal"
)

type cleaned struct {
	ID   json.RawMessage `json:"id,omitempty"`
	Text string          `json:"text"`
}

// NewSanitize returns the detector that answers with the text in normal form.
func NewSanitize(n *normal.Normaliser) Detector {
	return func(line []byte) (any, error) {
		var r Record
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, err
		}
		return cleaned{r.ID, n.Content(string(r.content()))}, nil
	}
}
