package scores

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// Carriers are ways to write a label and a value.
var Carriers = map[string]func(label, value string) string{
	"colon":       func(l, v string) string { return l + ": " + v },
	"sentence":    func(l, v string) string { return "We noted your " + l + " as " + v + ", thank you." },
	"json":        func(l, v string) string { return `{"id":7,"` + l + `":"` + v + `","note":"ok"}` },
	"nested json": func(l, v string) string { return quoted(`{"rows":[{"` + l + `":"` + v + `"}]}`) },
	"name/value":  func(l, v string) string { return `[{"name":"` + l + `","value":"` + v + `"}]` },
	"query":       func(l, v string) string { return strings.ReplaceAll(l, " ", "_") + "=" + v + "&lang=en" },
	"line above":  func(l, v string) string { return l + "\n" + v + "\n" },
	"csv":         func(l, v string) string { return "row," + l + ",status\n1," + v + ",open\n2,,closed" },
	"table":       func(l, v string) string { return "| row | " + l + " |\n|---|---|\n| 1 | " + v + " |" },
	"xml": func(l, v string) string {
		t := strings.ReplaceAll(l, " ", "-")
		return "<" + t + ">" + v + "</" + t + ">"
	},
	"parentheses": func(l, v string) string { return "on file (" + l + " " + v + ") since May" },
	"yaml":        func(l, v string) string { return "customer:\n  " + l + ": \"" + v + "\"\n  tier: 2" },
}

func quoted(s string) string {
	b, err := json.Marshal(map[string]string{"text": s})
	if err != nil {
		return s
	}
	return string(b)
}

// Evasions are ways to write a value that readers take for the same.
var Evasions = map[string]func(string) string{
	"zero width": func(s string) string {
		return s[:len(s)/3] + "\u200b" + s[len(s)/3:2*len(s)/3] + "\u2060" + s[2*len(s)/3:]
	},
	"full width":   func(s string) string { return strings.Map(wide, s) },
	`\u`:           func(s string) string { return each(s, `\u%04x`) },
	"percent":      func(s string) string { return each(s, "%%%02X") },
	"NBSP, dashes": func(s string) string { return strings.NewReplacer(" ", "\u00a0", "-", "\u2011").Replace(s) },
	"base64":       func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
}

func wide(r rune) rune {
	if r > ' ' && r < 0x7f {
		return r + 0xfee0
	}
	return r
}

func each(s, format string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, format, s[i])
	}
	return b.String()
}

// Values returns a few labelled values of each type.
func Values(records []Record, each int) map[string][]string {
	out := make(map[string][]string)
	seen := make(map[string]bool)
	for i := range records {
		text := records[i].Content()
		for _, s := range records[i].Spans {
			v := string(text[s.Start:s.End])
			if !seen[v] && len(out[s.Type]) < each && !strings.ContainsAny(v, "\\\"\n") {
				seen[v] = true
				out[s.Type] = append(out[s.Type], v)
			}
		}
	}
	return out
}
