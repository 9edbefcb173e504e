package view

import (
	"testing"
	"unicode/utf8"
)

func TestTheViewUndoesWhatHidesText(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"plain text is itself":           {"card 4111-1111", "card 4111-1111"},
		"zero width vanishes":            {"4\u200b1\u200d1\ufeff1", "4111"},
		"full width becomes ASCII":       {"４１１１＠ａ．ｂ", "4111@a.b"},
		"no-break and thin spaces":       {"4111\u00a01111\u20091111", "4111 1111 1111"},
		"dashes of all lengths":          {"123–45—6789", "123-45-6789"},
		"digits of other scripts":        {"٤١١١ ४१११ 𝟜𝟙𝟙𝟙", "4111 4111 4111"},
		"percent encoding":               {"a%40b%2Eexample", "a@b.example"},
		"percent encoded UTF-8":          {"%EF%BC%94%C2%A01", "4 1"},
		"unicode escapes":                {`\u0034\u0031\u{31}`, "411"},
		"surrogate escapes":              {`\ud835\udfdc`, "4"},
		"an escaped line end parts":      {`KEY\nAKIA`, "KEY\nAKIA"},
		"a lone percent sign stays":      {"100% of 5%zz", "100% of 5%zz"},
		"a lone backslash stays":         {`C:\data\`, `C:\data\`},
		"soft hyphens and tags vanish":   {"pass\u00adword\U000e0041", "password"},
		"letters that are no ASCII stay": {"Zoë", "Zoë"},
		"broken UTF-8":                   {"a\xffb", "a?b"},
	} {
		var v View
		v.Reset([]byte(c.in))
		if got := string(v.Text); got != c.want {
			t.Errorf("%s: %q became %q, not %q", name, c.in, got, c.want)
		}
	}
}

func TestASpanOfTheViewIsWhatItCameFrom(t *testing.T) {
	src := "x=4\u200b1%31\u200b１;"
	var v View
	v.Reset([]byte(src))
	start, end := v.Span(2, 6)
	if got := src[start:end]; string(v.Text) != "x=4111;" || got != "4\u200b1%31\u200b１" {
		t.Errorf("view %q, span %q", v.Text, got)
	}
}

func TestEncodedRunsAreFoundWhole(t *testing.T) {
	for text, want := range map[string]string{
		"id NDExMSAxMTExIDExMTEgMTExMQ== end":      "4111 1111 1111 1111",
		"h 34313131203131313120313131312031313131": "4111 1111 1111 1111",
		"usr/lib/python3/site-packages/":           "",
		"sha 7eb06852102364c79780db2fd0fe06a7f0e8": "",
	} {
		got := ""
		EachEncoded([]byte(text), nil, func(e Encoded) { got = string(e.Plain) })
		if got != want {
			t.Errorf("%q: %q, not %q", text, got, want)
		}
	}
}

func FuzzView(f *testing.F) {
	f.Add([]byte("a%41\\u0042\u200b４"))
	f.Add([]byte("%e2%80%8b\\ud83d\\ude00\xff"))
	f.Fuzz(func(t *testing.T, src []byte) {
		var v View
		v.Reset(src)
		if utf8.Valid(src) && !utf8.Valid(v.Text) {
			t.Fatalf("%q: the view %q is no UTF-8", src, v.Text)
		}
		last := 0
		for i := range v.Text {
			start, end := v.Span(i, i+1)
			if start < last || end <= start || end > len(src) {
				t.Fatalf("%q: byte %d of the view is %d to %d, after %d", src, i, start, end, last)
			}
			last = start
		}
		EachEncoded(v.Text, nil, func(e Encoded) {
			if e.Start < 0 || e.End > len(v.Text) || e.Start >= e.End {
				t.Fatalf("%q: run %d to %d", v.Text, e.Start, e.End)
			}
		})
	})
}
