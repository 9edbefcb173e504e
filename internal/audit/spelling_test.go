package audit

import "testing"

func TestAMailAddressIsOneInAnyCase(t *testing.T) {
	for name, want := range map[string]bool{
		"ada@mail.example": true, "a+b@x.y": true, "ada": false, "@x.y": false, "ada@": false, "ada@localhost": false, "ada@.": false, "a b@x.y": false, "a@b@c.d": false, "": false,
	} {
		if IsMail(name) != want {
			t.Errorf("%q: not %v", name, want)
		}
	}
	for pair, want := range map[[2]string]bool{
		{"Ada@Mail.example", "ada@mail.EXAMPLE"}:        true,
		{"Ada", "ada"}:                                  false,
		{"kate@mail.example", "\u212Aate@mail.example"}: false,
		{"straße@mail.example", "strasse@mail.example"}: false,
	} {
		if SameName(pair[0], pair[1]) != want {
			t.Errorf("%q: not %v", pair, want)
		}
	}
}

// A receipt that seals who called must not say it in another case.
func TestASealedMailAddressIsHiddenInAnyCase(t *testing.T) {
	s := seals{subject: "Ada@Mail.example", pseudonym: "00aa"}
	for text, want := range map[string]string{
		"to ada@mail.example, ADA@MAIL.EXAMPLE.": "to ~00aa, ~00aa.",
		"É Ada@Mail.example É":                   "É ~00aa É",
		"ada":                                    "ada",
		"":                                       "",
	} {
		if got := s.hide(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
	s.subject = "Ada"
	if got := s.hide("ada Ada"); got != "ada ~00aa" {
		t.Errorf("a name that is no address: %q", got)
	}
}

func TestBytesThatAreNoTextHideNobodyFromSealing(t *testing.T) {
	for text, want := range map[string]string{
		"\xff\xff\xff Ana@X.org told \xfe":  "\xff\xff\xff ~p told \xfe",
		"ANA@x.org\xff, ana@x.org":          "~p\xff, ~p",
		"\xc3\x28ana@x.orG":                 "\xc3\x28~p",
		"Ünal and Ana@x.org, not ana@x.com": "Ünal and ~p, not ana@x.com",
	} {
		if got := replaceName(text, "ana@X.org", "~p"); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := replaceName("Ana, ana", "ana", "~p"); got != "Ana, ~p" {
		t.Errorf("a name that is no address: %q", got)
	}
}
