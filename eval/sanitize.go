package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport/internal/inspect/lines"
	"github.com/sallyport/sallyport/internal/inspect/normal"
)

// sanitize measures how many texts lose all that must go, and keep all that must
// stay.
func (e *evaluation) sanitize() error {
	text, err := os.ReadFile(filepath.Join(e.dir, "ssrf", "policy.json"))
	if err != nil {
		return err
	}
	policy, _, err := lines.ReadPolicy(text)
	if err != nil {
		return err
	}
	d := lines.NewSanitize(normal.New(normal.Markdown, func(url string) bool { return policy.CheckURL(url) == nil }))
	records, err := e.read(filepath.Join("injection", "sanitize_dev.jsonl"))
	if err != nil {
		return err
	}
	right := 0
	for i := range records {
		var want struct {
			Not  []string `json:"must_not_contain"`
			Must []string `json:"must_contain"`
		}
		var got struct{ Text string }
		if err := json.Unmarshal(records[i].Line, &want); err != nil {
			return err
		}
		if err := ask(d, records[i].Line, &got); err != nil {
			return err
		}
		good := true
		for _, s := range want.Not {
			good = good && !strings.Contains(got.Text, s)
		}
		for _, s := range want.Must {
			good = good && strings.Contains(got.Text, s)
		}
		if good {
			right++
		}
	}
	e.row("sanitize, development data", "%d of %d right", right, len(records))
	return nil
}
