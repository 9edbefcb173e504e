package report

import (
	"encoding/json"
	"fmt"
)

// name is the file name of a sample's proof.
func (s *Sample) name() string { return fmt.Sprintf("receipt-%s-%d.json", s.Replica, s.Seq) }

// Proofs calls f with the proof of every receipt that the report shows, once.
func (r *Report) Proofs(f func(name string, proof []byte) error) error {
	seen := map[string]bool{}
	for _, p := range r.Parts {
		for i := range p.Receipts {
			for j := range p.Receipts[i].Samples {
				s := p.Receipts[i].Samples[j]
				if s.Proof == nil || seen[s.name()] {
					continue
				}
				seen[s.name()] = true
				text, err := json.Marshal(s.Proof)
				if err == nil {
					err = f(s.name(), append(text, '\n'))
				}
				if err != nil {
					return fmt.Errorf("report: proofs: %w", err)
				}
			}
		}
	}
	return nil
}
