package destination

import (
	"fmt"
	"strings"
	"testing"
)

func say(list []Mention) string {
	var out []string
	for _, m := range list {
		if m.Err != nil {
			out = append(out, "error")
			continue
		}
		host := m.Host
		if m.IP.IsValid() {
			host = m.IP.String()
		}
		out = append(out, host)
	}
	return strings.Join(out, " ")
}

func TestDestinationsAreFoundWhereverTheyStand(t *testing.T) {
	for text, want := range map[string]string{
		"see https://a.example/x, and http://b.example.":   "a.example b.example",
		"HTTPS://A.EXAMPLE/":                               "a.example",
		"https:a.example":                                  "error",
		"<a href='//c.example/x'>":                         "c.example",
		`\\files.example\share`:                            "files.example",
		"https://a.example/?to=http://169.254.169.254/x":   "a.example 169.254.169.254",
		"connect to db.example:5432 now":                   "db.example",
		"http://[::1]:8080/":                               "::1",
		"at 0x7f.0.0.1:80 there":                           "127.0.0.1",
		"metadata.google.internal":                         "metadata.google.internal",
		"https://a.example/İİİİ?u=http://b.example/":       "a.example b.example",
		"localhost:8080":                                   "localhost",
		"view-source:https://a.example/":                   "error",
		"javascript:alert(1)":                              "error",
		"version 1.2.3.4 of file.txt: read it at 10:30":    "",
		`C:\dir\file.txt and C://dir`:                      "",
		"The end. Next: nothing (a.b)":                     "",
		"key:value pairs, time 12:30:45, ratio 3:1":        "",
		"data:image/png;base64,iVBORw0KGgo//8AAAAAAABBB==": "",
	} {
		got := say(Find([]byte(text), nil))
		if want == "error" && strings.Contains(got, "error") {
			continue
		}
		for _, w := range strings.Fields(want) {
			if !strings.Contains(" "+got+" ", " "+w+" ") {
				t.Errorf("%q: found %q, want %q", text, got, want)
			}
		}
		if want == "" && got != "" {
			t.Errorf("%q: found %q, want nothing", text, got)
		}
	}
}

// A text made to keep expressions busy is refused instead of looked at.
func TestACrowdedTextCannotBuyTime(t *testing.T) {
	for name, unit := range map[string]string{"dots": "a.b", "ports": "a.b:1", "addresses": "1.2.3", "brackets": "[::1"} {
		text := strings.Repeat(unit, 1<<20/len(unit))
		got := Find([]byte(text), nil)
		if !strings.Contains(say(got), "error") {
			t.Errorf("%s: 1 MiB gives %d mentions and no error", name, len(got))
		}
	}
}

func BenchmarkFind(b *testing.B) {
	prose := strings.Repeat("The committee met at 10:30. It read report.txt, and https://a.example/x was named. ", 120)
	for name, text := range map[string]string{"prose": prose, "plain": strings.Repeat("no such thing in here ", 400), "base64": strings.Repeat("iVBORw0KGgo/8AAAB+", 500)} {
		b.Run(fmt.Sprintf("%s/%d", name, len(text)), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				Find([]byte(text), nil)
			}
		})
	}
}

func FuzzFind(f *testing.F) {
	f.Add("https://a.example/?u=http://1.2.3.4:80/ [::1]:80 //x \\\\y localhost:1 www.a.b", "url")
	f.Fuzz(func(_ *testing.T, text, key string) { Find([]byte(text), []byte(key)) })
}
