package audit

import "strings"

// IsMail reports whether a name has the form of a mail address. Its case says nothing:
// issuers write one person's address as they like.
func IsMail(name string) bool {
	local, domain, ok := strings.Cut(name, "@")
	return ok && local != "" && strings.Contains(strings.Trim(domain, "."), ".") && !strings.ContainsAny(local+domain, " \t\r\n<>,;@\"")
}

// Fold makes ASCII letters small. Others stay: what folds to one letter in one table
// is two people's in another. Each byte stays where it is, whatever the text is.
func Fold(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// SameName reports whether two names are one person's: equal or, of mail addresses, but
// for the case of letters.
func SameName(a, b string) bool { return a == b || IsMail(a) && Fold(a) == Fold(b) }

// replaceName replaces a name in a text, in whatever case where it is a mail address.
func replaceName(text, name, by string) string {
	if !IsMail(name) {
		return strings.ReplaceAll(text, name, by)
	}
	var b strings.Builder
	folded, name := Fold(text), Fold(name)
	for {
		i := strings.Index(folded, name)
		if i < 0 {
			b.WriteString(text)
			return b.String()
		}
		b.WriteString(text[:i])
		b.WriteString(by)
		text, folded = text[i+len(name):], folded[i+len(name):]
	}
}
