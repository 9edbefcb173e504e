package checksum

import "strings"

// nhs is the UK's NHS number: mod 11.
func nhs(s string) bool {
	d := digits(s)
	if len(d) != 10 || !notUniform(s) {
		return false
	}
	c := 11 - weighted(d, 10, 9, 8, 7, 6, 5, 4, 3, 2)%11
	return c%11 == d[9] && c != 10
}

// ssn has no check digit, but areas, groups and serials that are never given.
func ssn(s string) bool {
	c := clean(s)
	return len(c) == 9 && c[:3] != "000" && c[:3] != "666" && c[0] != '9' && c[3:5] != "00" && c[5:] != "0000" && notUniform(c) && c != "123456789"
}

// itin begins with 9 and has its fourth and fifth digit in given ranges.
func itin(s string) bool {
	c := clean(s)
	if len(c) != 9 || c[0] != '9' {
		return false
	}
	g := c[3:5]
	return g >= "50" && g <= "65" || g >= "70" && g <= "88" || g >= "90" && g <= "92" || g >= "94" && g <= "99"
}

func number(s string) int {
	n := 0
	for i := range len(s) {
		if s[i] >= '0' && s[i] <= '9' {
			n = (n*10 + int(s[i]-'0')) % 1e15
		}
	}
	return n
}

// esNIF covers the Spanish DNI and, with X, Y or Z in front, the NIE.
func esNIF(s string) bool {
	c := clean(s)
	if len(c) != 9 {
		return false
	}
	if i := strings.IndexByte("XYZ", c[0]); i >= 0 {
		c = string(rune('0'+i)) + c[1:]
	}
	return "TRWAGMYFPDXBNJZSQVHLCKE"[number(c[:8])%23] == c[8]
}

// itFiscal is the Italian codice fiscale with its check letter.
func itFiscal(s string) bool {
	c := clean(s)
	if len(c) != 16 {
		return false
	}
	odd := [36]int{1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23}
	sum := 0
	for i := range 15 {
		n := int(c[i] - '0')
		if c[i] >= 'A' {
			n = int(c[i]-'A') + 10
		}
		switch {
		case i%2 == 0:
			sum += odd[n]
		case n >= 10:
			sum += n - 10
		default:
			sum += n
		}
	}
	return byte('A'+sum%26) == c[15]
}

// pesel is Polish: a date whose month names the century, and a weighted sum.
func pesel(s string) bool {
	d := digits(s)
	if len(d) != 11 {
		return false
	}
	month, day := (d[2]*10+d[3])%20, d[4]*10+d[5]
	return month >= 1 && month <= 12 && day >= 1 && day <= 31 &&
		(10-weighted(d, 1, 3, 7, 9, 1, 3, 7, 9, 1, 3)%10)%10 == d[10]
}

// personnummer is Swedish: a date, or one with 60 added to the day, and Luhn
// over the last ten digits.
func personnummer(s string) bool {
	d := digits(s)
	if len(d) == 12 {
		if c := d[0]*10 + d[1]; c < 18 || c > 20 {
			return false
		}
		d = d[2:]
	}
	if len(d) != 10 {
		return false
	}
	month, day := d[2]*10+d[3], d[4]*10+d[5]
	if day > 60 {
		day -= 60
	}
	return month >= 1 && month <= 12 && day >= 1 && day <= 31 && luhnOf(d)
}

// hetu is Finnish: a date, a sign for the century, and a check character.
func hetu(s string) bool {
	if len(s) != 11 {
		return false
	}
	s = strings.ToUpper(s)
	day, month := number(s[:2]), number(s[2:4])
	return day >= 1 && day <= 31 && month >= 1 && month <= 12 &&
		"0123456789ABCDEFHJKLMNPRSTUVWXY"[number(s[:6]+s[7:10])%31] == s[10]
}

// cpf is Brazilian, with two check digits mod 11.
func cpf(s string) bool {
	d := digits(s)
	if len(d) != 11 || !notUniform(s) {
		return false
	}
	first := weighted(d, 10, 9, 8, 7, 6, 5, 4, 3, 2) * 10 % 11 % 10
	second := weighted(d, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2) * 10 % 11 % 10
	return first == d[9] && second == d[10]
}

// nric is Singapore's: five prefixes, three tables of check letters.
func nric(s string) bool {
	c := clean(s)
	if len(c) != 9 {
		return false
	}
	sum := weighted(digits(c[1:8]), 2, 7, 6, 5, 4, 3, 2)
	table := "JZIHGFEDCBA"
	switch c[0] {
	case 'T':
		sum += 4
	case 'F':
		table = "XWUTRQPNMLK"
	case 'G':
		sum += 4
		table = "XWUTRQPNMLK"
	case 'M':
		sum += 3
		table = "KLJNPQRTUWX"
		return table[10-sum%11] == c[8] || table[sum%11] == c[8]
	}
	return table[sum%11] == c[8]
}

// tfn is the Australian tax file number.
func tfn(s string) bool {
	d := digits(s)
	if len(d) == 8 {
		return weighted(d, 10, 7, 8, 4, 6, 3, 5, 1)%11 == 0 && notUniform(s)
	}
	return len(d) == 9 && weighted(d, 1, 4, 3, 7, 5, 8, 6, 9, 10)%11 == 0 && notUniform(s)
}

// abn is the Australian business number: mod 89 with one taken from the first.
func abn(s string) bool {
	d := digits(s)
	if len(d) != 11 || d[0] == 0 {
		return false
	}
	d[0]--
	return weighted(d, 10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19)%89 == 0
}

// deTax is the German Steuer-IdNr: ISO 7064 mod 11,10.
func deTax(s string) bool {
	d := digits(s)
	if len(d) != 11 || d[0] == 0 || !notUniform(s) {
		return false
	}
	p := 10
	for _, n := range d[:10] {
		sum := (n + p) % 10
		if sum == 0 {
			sum = 10
		}
		p = sum * 2 % 11
	}
	return (11-p)%10 == d[10]
}

// nir is French, with Corsica's 2A and 2B, and the key mod 97.
func nir(s string) bool {
	c := clean(s)
	if len(c) != 15 || c[0] != '1' && c[0] != '2' && c[0] != '7' && c[0] != '8' {
		return false
	}
	body := c[:13]
	body = strings.Replace(strings.Replace(body, "2A", "19", 1), "2B", "18", 1)
	return 97-number(body)%97 == number(c[13:])
}

// aba is the US routing number: weights 3, 7, 1 and given Federal Reserve ranges.
func aba(s string) bool {
	d := digits(s)
	if len(d) != 9 || !notUniform(s) {
		return false
	}
	return weighted(d, 3, 7, 1, 3, 7, 1, 3, 7, 1)%10 == 0
}

// npi is Luhn with 80840 in front.
func npi(s string) bool { d := digits(s); return len(d) == 10 && luhnOf(digits("80840"+clean(s))) }

// dea is the number of a US prescriber.
func dea(s string) bool {
	c := clean(s)
	if len(c) != 9 {
		return false
	}
	d := digits(c[2:])
	return len(d) == 7 && (d[0]+d[2]+d[4]+2*(d[1]+d[3]+d[5]))%10 == d[6]
}
