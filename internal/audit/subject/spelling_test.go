package subject_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/audit/keyring"
	"github.com/sallyport/sallyport/internal/audit/subject"
)

// lines are plain receipts, by what each is.
var lines = []string{
	`"subject":"Ada@Mail.example","issuer":"https://one","tenant":"acme"`,                               // 1
	`"subject":"ada@mail.example","issuer":"https://two","tenant":"acme"`,                               // 2
	`"subject":"ada","issuer":"https://one","tenant":"other"`,                                           // 3
	`"subject":"bob","issuer":"https://one","tenant":"acme","agent":"ADA@mail.example"`,                 // 4
	`"subject":"bob","issuer":"https://one","tenant":"acme","agent":"x","actors":["x","ada"]`,           // 5
	`"subject":"bob","issuer":"https://one","tenant":"acme","detail":"mail to ada@MAIL.example failed"`, // 6
	`"pseudonym":"00000000000000aa","issuer":"https://one","tenant":"acme"`,                             // 7
	`"subject":"adam","issuer":"https://one","tenant":"acme","detail":"ada"`,                            // 8
	`"subject":"nada@mail.example.org","issuer":"https://one","tenant":"acme"`,                          // 9: has it as a part of another
	`"subject":"\u212Ate@mail.example","issuer":"https://one","tenant":"acme"`,                          // 10: a Kelvin sign
}

func TestAPersonIsFoundInOtherSpellingsAndRoles(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "receipts.jsonl")
	var text strings.Builder
	for i, l := range lines {
		fmt.Fprintf(&text, `{"v":1,"time":"2026-11-01T12:00:00Z","exchange":"e%d","direction":"to_server","action":"allow",%s,"guards":[],"took_us":1}`+"\n", i+1, l)
	}
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		about subject.About
		want  string
	}{
		"a mail address":            {subject.About{Subject: "ada@mail.example"}, "1caller! 2caller! 4actor! 6mentioned!"},
		"exactly":                   {subject.About{Subject: "ada@mail.example", Exact: true}, "2caller!"},
		"at one issuer":             {subject.About{Subject: "ada@mail.example", Issuer: "https://two"}, "2caller! 4actor! 6mentioned!"},
		"a name as it is":           {subject.About{Subject: "ada"}, "3caller! 5actor!"},
		"a name in another case":    {subject.About{Subject: "ADA"}, ""},
		"with other names":          {subject.About{Subject: "ada", Also: []string{"ada@mail.example"}}, "1caller! 2caller! 3caller! 4actor! 5actor! 6mentioned!"},
		"other names in one tenant": {subject.About{Subject: "ada", Tenant: "other", Also: []string{"ada@mail.example"}}, "3caller!"},
		"another letter":            {subject.About{Subject: "kate@mail.example"}, ""},
		"nobody":                    {subject.About{Subject: "mallory"}, ""},
	} {
		var got []string
		err := subject.Find([]string{file}, tt.about, nil, func(f subject.Found) error {
			one := fmt.Sprint(f.Line, strings.Join(f.As, "+"))
			if f.InClear {
				one += "!"
			}
			got = append(got, one)
			return nil
		})
		if err != nil || strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %s, want %s (%v)", name, got, tt.want, err)
		}
	}
	var got []string
	if err := subject.Find([]string{file}, subject.About{Subject: "sealed"}, []string{"00000000000000aa"}, func(f subject.Found) error {
		got = append(got, fmt.Sprint(f.Line, f.As, f.InClear))
		return nil
	}); err != nil || !slices.Equal(got, []string{"7 [caller] false"}) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestKeysOfAPersonInOtherSpellingsAreHers(t *testing.T) {
	a := subject.About{Subject: "ada@mail.example", Issuer: "https://one", Also: []string{"u-17"}}
	for o, want := range map[keyring.Owner]bool{
		{Kind: keyring.Subject, Issuer: "https://one", Subject: "ADA@mail.example"}:  true,
		{Kind: keyring.Subject, Issuer: "https://two", Subject: "ada@mail.example"}:  false,
		{Kind: keyring.Subject, Issuer: "https://two", Subject: "u-17"}:              true,
		{Kind: keyring.Subject, Issuer: "https://two", Subject: "U-17"}:              false,
		{Kind: keyring.Subject, Issuer: "https://one", Subject: "bada@mail.example"}: false,
		{Kind: keyring.Tenant, Tenant: "acme"}:                                       false,
	} {
		if a.Owns(&keyring.Key{Owner: o}) != want {
			t.Errorf("%+v: not %v", o, want)
		}
	}
	for _, bad := range []subject.About{{}, {Also: []string{"x"}}, {Tenant: "t", Also: []string{"x"}}, {Subject: "s", Also: []string{""}}} {
		if bad.Validate() == nil {
			t.Errorf("%+v is good", bad)
		}
	}
}
