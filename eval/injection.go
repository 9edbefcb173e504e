package main

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/eval/learn"
	"github.com/sallyport/sallyport/eval/scores"
	"github.com/sallyport/sallyport/internal/inspect/injection"
)

// heldOut pairs kinds of attacks with kinds of harmless texts that are left out
// of the training together with them, so that neither was seen. A * takes any
// ending.
var heldOut = []struct {
	what             string
	attack, harmless []string
}{
	{"overriding", []string{"override", "forged", "indirect"}, []string{"about_attacks", "benign_carrier", "business"}},
	{"agents", []string{"exfiltrate", "agentic", "act_helper"}, []string{"howto", "readme", "review"}},
	{"tasks and answers", []string{"output", "task", "bipia_text", "bipia_code", "code"}, []string{"human_request", "api_json", "recipe"}},
	{"descriptions", []string{"poison", "tool_poisoning"}, []string{"tool_benign", "tool_description"}},
	{"jailbreaks", []string{"jailbreak", "jailbreak_text", "multilingual_jailbreak"}, []string{"prompt", "notinject"}},
	{"Slavic languages", []string{"russian*", "polish*", "czech*"}, []string{"ui"}},
	{"East Asian languages", []string{"chinese*", "japanese*", "korean*"}, []string{"mail_talk"}},
}

// few is how many texts of a line are enough to measure what was left out.
const few = 30

func among(list []string, name string) bool {
	return slices.ContainsFunc(list, func(s string) bool {
		p, wild := strings.CutSuffix(s, "*")
		return s == name || wild && strings.HasPrefix(name, p)
	})
}

func (e *evaluation) injection() error {
	m, err := injection.Shipped()
	if err != nil {
		return err
	}
	sets := []string{filepath.Join(e.dir, "injection", "injection_dev.jsonl")}
	for _, pattern := range []string{filepath.Join(e.dir, "injection", "unseen_*.jsonl"), filepath.Join(e.outside, "sets", "*.jsonl")} {
		more, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		sets = append(sets, more...)
	}
	for _, name := range sets {
		records, err := scores.Read(name)
		if err != nil {
			return err
		}
		var list []injection.Record
		for i := range records {
			r := &records[i]
			list = append(list, injection.Record{Text: string(r.Content()), Label: r.Label, Category: r.Category, Channel: r.Channel})
		}
		what := "injection, " + strings.TrimSuffix(filepath.Base(name), ".jsonl")
		if strings.HasSuffix(name, "_dev.jsonl") {
			what += " (learnt from)"
		}
		if err := e.score(what, m, list); err != nil {
			return err
		}
	}
	return e.leftOut()
}

// leftOut trains models without some kinds and measures them on those.
func (e *evaluation) leftOut() error {
	all, err := learn.Records(filepath.Join(e.dir, "injection"), 1, few)
	if err != nil {
		return err
	}
	for _, h := range heldOut {
		var c injection.Corpus
		var test []injection.Record
		for i := range all {
			if among(h.attack, all[i].Category) || among(h.harmless, all[i].Category) {
				test = append(test, all[i])
			} else {
				c.Add(&all[i])
			}
		}
		if err := e.score("injection, left out: "+h.what, injection.Train(c.Examples, 1), test); err != nil {
			return err
		}
	}
	return nil
}

func (e *evaluation) score(what string, m *injection.Model, records []injection.Record) error {
	d, err := injection.New(m)
	if err != nil {
		return err
	}
	var list []scores.Labelled
	hard := []float64{}
	for i := range records {
		r := &records[i]
		s := d.Score(injection.ChannelOf(r.Channel), []byte(r.Text))
		list = append(list, scores.Labelled{Score: s, Label: r.Label})
		if r.Category == "hard_negative" {
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
