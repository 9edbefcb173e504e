package subject

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/audit/keyring"
	"github.com/sallyport/sallyport/internal/audit/verify"
)

// Copy is a receipt as it is handed out: with what was sealed in it, and with the
// proof that it is one of the gateway's.
type Copy struct {
	Found
	Opened    map[string]any `json:"opened,omitempty"`     // by part; content as JSON, and JSON as text where it is none
	NotOpened []string       `json:"not_opened,omitempty"` // parts whose keys are gone, and why
	Proof     *verify.Proof  `json:"proof,omitempty"`
	Unproved  string         `json:"unproved,omitempty"` // why there is no proof
}

// Export writes all receipts about somebody as one JSON document. Those in which she is
// only mentioned are counted.
func Export(w io.Writer, over []Source, a About, pseudonyms []string, ring *keyring.Ring) (n int, err error) {
	head, err := json.Marshal(struct {
		About       About    `json:"about"`
		Pseudonyms  []string `json:"pseudonyms,omitempty"`
		Directories []Source `json:"directories"`
	}{a, pseudonyms, over})
	if err != nil {
		return 0, fmt.Errorf("subject: export: %w", err)
	}
	if _, err := fmt.Fprintf(w, "%s,\"receipts\":[", head[:len(head)-1]); err != nil {
		return 0, fmt.Errorf("subject: export: %w", err)
	}
	mentions := 0
	for _, s := range over {
		prover, err := verify.NewProver(s.Path)
		if err != nil {
			return n, err
		}
		err = Find([]string{s.Path}, a, pseudonyms, func(f Found) error {
			if f.Only(Mentioned) { // it is about others, and find says where it stands
				mentions++
				return nil
			}
			c, err := copyOf(f, ring, prover)
			if err != nil {
				return err
			}
			text, err := json.Marshal(c)
			if err != nil {
				return fmt.Errorf("subject: export: %w", err)
			}
			sep := ",\n"
			if n == 0 {
				sep = "\n"
			}
			n++
			_, err = fmt.Fprintf(w, "%s%s", sep, text)
			return err
		})
		if err != nil {
			return n, err
		}
	}
	_, err = fmt.Fprintf(w, "\n],\"mentions\":%d}\n", mentions)
	return n, err
}

func copyOf(f Found, ring *keyring.Ring, prover *verify.Prover) (*Copy, error) {
	c := &Copy{Found: f}
	var id struct {
		Seq uint64 `json:"seq"`
	}
	if err := json.Unmarshal(f.Receipt, &id); err != nil {
		return nil, fmt.Errorf("subject: export: %w", err)
	}
	proof, err := prover.Prove(id.Seq)
	switch {
	case errors.Is(err, verify.ErrNotThere):
		c.Unproved = "no checkpoint covers it yet"
	case err != nil:
		c.Unproved = err.Error()
	default:
		c.Proof = proof
	}
	if ring == nil {
		return c, nil
	}
	parts, err := audit.Unseal(f.Receipt, ring)
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		switch {
		case p.Err != nil:
			c.NotOpened = append(c.NotOpened, p.What+": "+p.Err.Error())
		case p.Plain == nil:
			c.NotOpened = append(c.NotOpened, p.What+": it was too large to be kept")
		default:
			if c.Opened == nil {
				c.Opened = make(map[string]any)
			}
			c.Opened[p.What] = string(p.Plain)
			if json.Valid(p.Plain) {
				c.Opened[p.What] = json.RawMessage(p.Plain)
			}
		}
	}
	return c, nil
}
