package view

// Lookalike returns the Latin letter, in lower case, that a Cyrillic or Greek
// one is drawn like.
func Lookalike(r rune) (byte, bool) {
	if r < greek || r >= greek+rune(len(lookalikes)) {
		return 0, false
	}
	c := lookalikes[r-greek]
	return c, c != 0
}

const greek = 0x370

var lookalikes = func() (t [0x300]byte) {
	const to = "aeopcyxijsdhqwgaoptuvikbee"
	k := 0
	for _, r := range "аеорсухіјѕԁһԛԝɡαορτυνικβеѐ" {
		if r >= greek {
			t[r-greek] = to[k]
		}
		k++
	}
	return t
}()
