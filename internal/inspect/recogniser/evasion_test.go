package recogniser

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

func compiledSet(t testing.TB, classes ...Class) *Set {
	t.Helper()
	list, err := Builtin(classes...)
	if err != nil {
		t.Fatal(err)
	}
	set, err := Compile(list)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// evasions write a value so that a reader of the bytes does not see it.
var evasions = map[string]func(string) string{
	"zero width inside":  func(s string) string { return s[:3] + "\u200b" + s[3:7] + "\u2060" + s[7:] },
	"full width":         func(s string) string { return strings.Map(fullWidth, s) },
	"unicode escapes":    func(s string) string { return each(s, `\u%04x`) },
	"percent encoding":   func(s string) string { return each(s, "%%%02X") },
	"no-break spaces":    func(s string) string { return strings.ReplaceAll(s, " ", "\u00a0") },
	"typographic dashes": func(s string) string { return strings.ReplaceAll(s, "-", "\u2011") },
	"base64":             func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"base64 for URLs":    func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
	"hexadecimal":        func(s string) string { return hex.EncodeToString([]byte(s)) },
}

func fullWidth(r rune) rune {
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

func TestValuesAreFoundHoweverTheyAreWritten(t *testing.T) {
	s := compiledSet(t, PII, Secret).NewScanner()
	for typ, value := range map[string]string{
		"EMAIL_ADDRESS":     "anna.kowalska@mail.example",
		"CREDIT_CARD":       "4111 1111 1111 1111",
		"IBAN_CODE":         "DE89 3704 0044 0532 0130 00",
		"US_SSN":            "219-09-9999",
		"aws_access_key_id": "AKIAQ3EGR5XZ6TWB7LMN",
		"github_token":      "ghp_k3Jx9QpLm2Vb7Nc4Rt8Ws1Yz5Hd6Fg0Uak3J",
	} {
		for name, write := range evasions {
			text := "the value is " + write(value) + " today"
			found := s.Scan(nil, Leaf{Text: []byte(text)})
			if len(found) != 1 || found[0].Type != typ || text[found[0].Start:found[0].End] != write(value) {
				if len(value) < 12 && (strings.HasPrefix(name, "base64") || name == "hexadecimal") {
					continue // 11 bytes are 15 of base64, as short as a word
				}
				t.Errorf("%s as %s: %+v in %q", typ, name, found, text)
			}
		}
	}
}

func TestTheSurroundingsSayWhatAValueIs(t *testing.T) {
	s := compiledSet(t, PII).NewScanner()
	for name, c := range map[string]struct {
		leaf Leaf
		want string
	}{
		"a key":                         {Leaf{Text: []byte("123456789"), Key: []byte("passportNumber")}, "US_PASSPORT"},
		"a key in snake case":           {Leaf{Text: []byte("021000021"), Key: []byte("routing_no")}, "US_ABA_ROUTING"},
		"the key above":                 {Leaf{Text: []byte("021000021"), Key: []byte("value"), Parent: []byte("routing_number")}, "US_ABA_ROUTING"},
		"a label beside":                {Leaf{Text: []byte("123456782"), Key: []byte("value"), Beside: []byte("Tax file number")}, "AU_TFN"},
		"the heading of a column":       {Leaf{Text: []byte("id,routing,city\n7,021000021,Rome\n")}, "US_ABA_ROUTING"},
		"the heading of a table":        {Leaf{Text: []byte("| id | dob | n |\n|---|---|---|\n| 7 | 1984-03-12 | 3 |\n")}, "DATE_OF_BIRTH"},
		"another language":              {Leaf{Text: []byte("fecha de nacimiento: 12/03/1984")}, "DATE_OF_BIRTH"},
		"another script":                {Leaf{Text: []byte("我的电话是13800138000。")}, "PHONE_NUMBER"},
		"nothing":                       {Leaf{Text: []byte("123456789")}, ""},
		"a name behind":                 {Leaf{Text: []byte("021000021 (ABA)")}, "US_ABA_ROUTING"},
		"the last label wins":           {Leaf{Text: []byte("phone on file; passport 123456789")}, "US_PASSPORT"},
		"a key that speaks against it":  {Leaf{Text: []byte("4111111111111111"), Key: []byte("sku")}, ""},
		"a key that says both":          {Leaf{Text: []byte("555 867 5309"), Key: []byte("account_phone")}, "PHONE_NUMBER"},
		"a word that speaks against it": {Leaf{Text: []byte("Order 4111111111111111 left")}, ""},
	} {
		got := ""
		for _, f := range s.Scan(nil, c.leaf) {
			got += f.Type
		}
		if got != c.want {
			t.Errorf("%s: %q, not %q", name, got, c.want)
		}
	}
}

func TestARecogniserThatFailsItsOwnTestIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"a missed value":     "recognisers: [{type: X, class: pii, patterns: [{regex: 'EMP-[0-9]{6}', score: 0.9}], tests: {find: ['EMP-«123456»']}}]",
		"a wrong find":       "recognisers: [{type: X, class: pii, patterns: [{regex: 'EMP-[0-9]{6}', score: 0.9}], tests: {find: ['«EMP-123456»'], miss: ['EMP-654321']}}]",
		"no tests":           "recognisers: [{type: X, class: pii, patterns: [{regex: 'EMP-[0-9]{6}', score: 0.9}]}]",
		"an anchor":          "recognisers: [{type: X, class: pii, patterns: [{regex: '^EMP', score: 0.9}], tests: {find: ['«EMP»']}}]",
		"an unknown check":   "recognisers: [{type: X, class: pii, check: magic, patterns: [{regex: 'EMP', score: 0.9}], tests: {find: ['«EMP»']}}]",
		"no class":           "recognisers: [{type: X, patterns: [{regex: 'EMP', score: 0.9}], tests: {find: ['«EMP»']}}]",
		"a score beyond one": "recognisers: [{type: X, class: pii, patterns: [{regex: 'EMP', score: 2}], tests: {find: ['«EMP»']}}]",
		"several groups":     "recognisers: [{type: X, class: pii, patterns: [{regex: '(E)(M)P', score: 0.9}], tests: {find: ['«EMP»']}}]",
	} {
		list, err := Parse([]byte(text))
		if err == nil {
			_, err = Compile(list)
		}
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	list, err := Parse([]byte("recognisers: [{type: EMPLOYEE, class: pii, patterns: [{regex: 'EMP-[0-9]{6}', score: 0.9}], tests: {find: ['by «EMP-123456».'], miss: ['EMP-12']}}]"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Compile(list); err != nil {
		t.Error(err)
	}
}

func FuzzScan(f *testing.F) {
	s := compiledSet(f, PII, Secret).NewScanner()
	f.Add([]byte("card 4111 1111 1111 1111, token: ghp_k3Jx9QpLm2Vb7Nc4Rt8Ws1Yz5Hd6Fg0Uak3J"), []byte("ssn"))
	f.Add([]byte("NDExMSAxMTExIDExMTEgMTExMQ== %34\\u0031"), []byte("card"))
	f.Fuzz(func(t *testing.T, text, key []byte) {
		end := 0
		for _, g := range s.Scan(nil, Leaf{Text: text, Key: key}) {
			if g.Start < end || g.End <= g.Start || g.End > len(text) {
				t.Fatalf("%+v after %d in %q", g, end, text)
			}
			end = g.End
		}
	})
}
