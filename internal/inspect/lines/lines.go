package lines

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"

	"github.com/sallyport/sallyport/internal/inspect/recogniser"
)

// Record is one line of input.
type Record struct {
	ID      json.RawMessage `json:"id"`
	Kind    string          `json:"kind"`
	Channel string          `json:"channel"`
	Text    string          `json:"text"`
	Bytes   []byte          `json:"text_b64"`
}

func (r *Record) content() []byte {
	if r.Bytes != nil {
		return r.Bytes
	}
	return []byte(r.Text)
}

// Detector answers records.
type Detector func(line []byte) (any, error)

type findings struct {
	ID       json.RawMessage `json:"id,omitempty"`
	Findings []Finding       `json:"findings"`
}

// NewContent returns the detector for personal data or secrets, with
// recognisers of the user's own beside the shipped ones.
func NewContent(class recogniser.Class, own ...recogniser.Recogniser) (Detector, error) {
	c, err := newContent(class, own)
	if err != nil {
		return nil, err
	}
	return func(line []byte) (any, error) {
		var r Record
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, err
		}
		return findings{r.ID, c.find(r.content(), r.Channel)}, nil
	}, nil
}

// longestLine bounds a record.
const longestLine = 64 << 20

// Answer reads records from in and writes one answer for each to out.
func Answer(in io.Reader, out io.Writer, d Detector) error {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(make([]byte, 64<<10), longestLine)
	w := bufio.NewWriter(out)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for n := 1; scanner.Scan(); n++ {
		if len(scanner.Bytes()) == 0 {
			continue
		}
		answer, err := d(scanner.Bytes())
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if err := enc.Encode(answer); err != nil {
			return err
		}
		if err := w.Flush(); err != nil { // whoever asks line by line waits for it
			return err
		}
	}
	return scanner.Err()
}
