// Package checksum checks what a pattern cannot say: the check digits of identifiers,
// the shapes of some, and whether a text looks drawn at random, as secrets are.
package checksum

import (
	"strings"

	"github.com/sallyport/sallyport/internal/inspect/names"
)

// Func reports whether a match is what it looks like. Of an identifier it reads
// letters and digits, and skips whatever separates them.
type Func func(s string) bool

// Lookup returns the function that recognisers call by this name.
func Lookup(name string) (Func, bool) {
	f, ok := funcs[name]
	return f, ok
}

var funcs = map[string]Func{
	"luhn": luhn, "card": card, "iban": iban, "verhoeff": verhoeff, "nhs": nhs, "ssn": ssn, "itin": itin,
	"es_nif": esNIF, "it_fiscal": itFiscal, "pesel": pesel, "personnummer": personnummer, "hetu": hetu, "cpf": cpf,
	"nric": nric, "tfn": tfn, "abn": abn, "de_tax": deTax, "nir": nir, "aba": aba, "npi": npi, "dea": dea,
	"ip": ip, "base58": base58, "bech32": bech32, "date": date, "phone": phone, "email": email, "not_uniform": notUniform,
	"secret": secretlike, "password": passwordlike, "base64_key": base64Key, "has_digit": hasDigit, "mac": mac,
	"person": names.Person, "person_reversed": names.Reversed, "person_named": names.Plausible, "address": address,
	"not_placeholder": notPlaceholder, "basic": basic, "secret_alone": secretAlone, "password_alone": passwordAlone,
	"account": account,
}

// clean returns the letters, in upper case, and digits of s.
func clean(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z':
			b.WriteByte(c)
		case c >= 'a' && c <= 'z':
			b.WriteByte(c - 0x20)
		}
	}
	return b.String()
}

func digits(s string) []int {
	out := make([]int, 0, 24) // which the compiler can keep on its caller's stack
	for i := range len(s) {
		if s[i] >= '0' && s[i] <= '9' {
			out = append(out, int(s[i]-'0'))
		}
	}
	return out
}

// weighted returns the sum of the digits times the weights.
func weighted(d []int, weights ...int) int {
	sum := 0
	for i := range min(len(d), len(weights)) {
		sum += d[i] * weights[i]
	}
	return sum
}

func luhnOf(d []int) bool {
	sum := 0
	for i := range d {
		n := d[len(d)-1-i]
		if i%2 == 1 {
			if n *= 2; n > 9 {
				n -= 9
			}
		}
		sum += n
	}
	return len(d) > 1 && sum%10 == 0
}

func luhn(s string) bool { return luhnOf(digits(s)) }

// card is Luhn and not one digit over and over.
func card(s string) bool { return luhn(s) && notUniform(s) }

func notUniform(s string) bool {
	d := digits(s)
	for _, n := range d {
		if n != d[0] {
			return true
		}
	}
	return false
}

func hasDigit(s string) bool { return strings.ContainsAny(s, "0123456789") }

// ibanLength holds the lengths of the IBAN registry.
var ibanLength = map[string]int{
	"AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
	"CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
	"FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
	"IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
	"LU": 20, "LV": 21, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18, "NO": 15,
	"PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24, "SI": 19,
	"SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
}

// iban is ISO 13616: the registry's length, and mod 97 of the rearranged number.
func iban(s string) bool {
	c := clean(s)
	return len(c) > 4 && ibanLength[c[:2]] == len(c) && mod97(c[4:]+c[:4]) == 1
}

// mod97 reads letters as 10 to 35.
func mod97(s string) int {
	n := 0
	for i := range len(s) {
		if c := s[i]; c >= 'A' {
			n = (n*100 + int(c-'A') + 10) % 97
		} else {
			n = (n*10 + int(c-'0')) % 97
		}
	}
	return n
}

// verhoeff works in the dihedral group of order ten.
func verhoeff(s string) bool {
	permutation := [8][10]int{{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 5, 7, 6, 2, 8, 3, 0, 9, 4}}
	for i := 2; i < 8; i++ {
		for j := range 10 {
			permutation[i][j] = permutation[i-1][permutation[1][j]]
		}
	}
	product := func(a, b int) int {
		switch {
		case a < 5 && b < 5:
			return (a + b) % 5
		case a < 5:
			return (a+b-5)%5 + 5
		case b < 5:
			return (a-5+5-b)%5 + 5
		}
		return (a - b + 5) % 5
	}
	d, c := digits(s), 0
	for i := range d {
		c = product(c, permutation[i%8][d[len(d)-1-i]])
	}
	return len(d) > 1 && c == 0 && notUniform(s)
}
