package main

import (
	"encoding/json"
	"path/filepath"

	"github.com/sallyport/sallyport/eval/scores"
	"github.com/sallyport/sallyport/internal/inspect/injection"
)

// heldOut pairs each kind of attack with harmless texts that are left out of
// the training together with it, so that neither was seen.
var heldOut = []struct{ attack, harmless string }{
	{"indirect", "benign_carrier"}, {"bipia_text", "api_json"}, {"bipia_code", "readme"}, {"tool_poisoning", "hard_negative"}, {"jailbreak_text", "notinject"},
}

func (e *evaluation) injection() error {
	var records []scores.Record
	for _, name := range []string{"injection_dev.jsonl", "extra.jsonl"} {
		more, err := e.read(filepath.Join("injection", name))
		if err != nil {
			return err
		}
		records = append(records, more...)
	}
	m, err := injection.Shipped()
	if err != nil {
		return err
	}
	if err := e.score("injection, shipped model, seen data", m, records); err != nil {
		return err
	}
	for _, h := range heldOut {
		var examples []injection.Example
		var test []scores.Record
		for i := range records {
			r := &records[i]
			// The wording of the hand-written examples is nobody's else's, so
			// every fifth harmless one of the others is held out as well.
			if r.Category == h.attack || r.Category == h.harmless || r.Label == 0 && i%5 == 0 {
				test = append(test, *r)
				continue
			}
			var one injection.Record
			if err := json.Unmarshal(r.Line, &one); err != nil {
				return err
			}
			examples = one.Examples(examples)
		}
		if err := e.score("injection, unseen "+h.attack, injection.Train(examples, 1), test); err != nil {
			return err
		}
	}
	return nil
}

func (e *evaluation) score(what string, m *injection.Model, records []scores.Record) error {
	d, err := injection.New(m)
	if err != nil {
		return err
	}
	var list []scores.Labelled
	hard := []float64{}
	for i := range records {
		s := d.Score(records[i].Content())
		list = append(list, scores.Labelled{Score: s, Label: records[i].Label})
		if records[i].Category == "hard_negative" {
			hard = append(hard, s)
		}
	}
	one, _ := scores.RecallAt(list, 0.01)
	five, threshold := scores.RecallAt(list, 0.05)
	flagged := 0
	for _, s := range hard {
		if s > threshold {
			flagged++
		}
	}
	e.row(what, "AUC %.3f  recall %.3f at 1 %%, %.3f at 5 %%  hard negatives flagged %d of %d", scores.AUC(list), one, five, flagged, len(hard))
	return nil
}
