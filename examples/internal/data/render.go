package data

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strings"
)

func formats() []string { return []string{"csv", "jsonl"} }

// render writes rows in a format: CSV with a heading, or one JSON object a line.
func (d dataset) render(format string, rows [][]string) (string, error) {
	var b strings.Builder
	switch format {
	case "csv":
		w := csv.NewWriter(&b)
		if err := w.WriteAll(append([][]string{d.columns}, rows...)); err != nil {
			return "", fmt.Errorf("data: write %s: %w", d.name, err)
		}
	case "jsonl":
		for _, r := range rows {
			line, err := json.Marshal(d.object(r))
			if err != nil {
				return "", fmt.Errorf("data: write %s: %w", d.name, err)
			}
			b.Write(line)
			b.WriteByte('\n')
		}
	default:
		return "", fmt.Errorf("no format is called %q; there are %s", format, strings.Join(formats(), ", "))
	}
	return b.String(), nil
}

func (d dataset) object(row []string) map[string]string {
	o := make(map[string]string, len(row))
	for i, v := range row {
		o[d.columns[i]] = v
	}
	return o
}

func media(format string) string {
	if format == "csv" {
		return "text/csv"
	}
	return "application/jsonl"
}
