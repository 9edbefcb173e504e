package audit

import (
	"encoding/json"
	"fmt"

	"github.com/sallyport/sallyport/internal/audit/keyring"
)

// Opened is one sealed part of a receipt.
type Opened struct {
	What  string
	As    string // forwarded or received, of a payload
	Bytes int    // of the payload
	Plain []byte // nil with Err, and for a payload that was too large to be kept
	Err   error
}

// Unseal opens what is sealed in a receipt, as far as there are keys. It does not
// tell whether the receipt is one that a gateway wrote: the chain does.
func Unseal(line []byte, ring *keyring.Ring) ([]Opened, error) {
	var r struct {
		Exchange  string `json:"exchange"`
		Time      string `json:"time"`
		Direction string `json:"direction"`
		Tenant    string `json:"tenant"`
		Sealed    []struct {
			What  string   `json:"what"`
			As    string   `json:"as"`
			Bytes int      `json:"bytes"`
			Keys  []string `json:"keys"`
			Box   []byte   `json:"box"`
		} `json:"sealed"`
	}
	if err := json.Unmarshal(line, &r); err != nil {
		return nil, fmt.Errorf("audit: unseal: %w", err)
	}
	var out []Opened
	for _, s := range r.Sealed {
		o := Opened{What: s.What, As: s.As, Bytes: s.Bytes}
		if s.Box != nil {
			var keys []*keyring.Key
			for _, id := range s.Keys {
				k, err := ring.Key(id)
				if err != nil {
					o.Err = err
					break
				}
				keys = append(keys, k)
			}
			if o.Err == nil {
				o.Plain, o.Err = keyring.Unseal(keys, keyring.Place{Exchange: r.Exchange, Time: r.Time, Direction: r.Direction, Tenant: r.Tenant, What: s.What}, s.Box)
			}
		}
		out = append(out, o)
	}
	return out, nil
}
