package injection

import "unicode/utf8"

// token is a word of a folded sentence.
type token struct {
	start, end int32
	hash       uint32
	number     bool // it has a digit
	beyond     bool // it has characters beyond ASCII
}

const numberHash = 77 // numbers are all alike

// tokenise appends the words of a folded sentence.
func tokenise(dst []token, s []byte) []token {
	for i := 0; i < len(s); {
		if !inWord[s[i]] {
			i++
			continue
		}
		t := token{start: int32(i), hash: 2166136261}
		for i < len(s) && inWord[s[i]] {
			c := s[i]
			t.hash = (t.hash ^ uint32(c)) * 16777619
			t.number = t.number || c <= '9'
			t.beyond = t.beyond || c >= utf8.RuneSelf
			i++
		}
		if t.end = int32(i); t.number {
			t.hash = digits(s[t.start:t.end])
		}
		dst = append(dst, t)
	}
	return dst
}

// plainDigit are the letters that digits stand for in words such as passw0rd.
var plainDigit = [10]byte{'o', 'i', 'z', 'e', 'a', 's', 'g', 't', 'b', 'g'}

// digits is the hash of a word with digits: that of the word it is drawn like
// when letters outweigh them, and otherwise of any number.
func digits(w []byte) uint32 {
	n := 0
	for _, c := range w {
		if c <= '9' {
			n++
		}
	}
	if len(w) < 4 || 2*n >= len(w) || w[len(w)-1] <= '9' && w[len(w)-2] <= '9' {
		return numberHash
	}
	h := uint32(2166136261)
	for _, c := range w {
		if c <= '9' {
			c = plainDigit[c-'0']
		}
		h = (h ^ uint32(c)) * 16777619
	}
	return h
}

func wordHash(w []byte) uint32 {
	h := uint32(2166136261)
	for _, c := range w {
		h = (h ^ uint32(c)) * 16777619
	}
	return h
}

var inWord = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c >= utf8.RuneSelf
	}
	return t
}()

// features appends the buckets of a sentence: its words, pairs of words that
// follow each other or with one in between, how it begins, runs of bytes in
// words, and what it speaks of, singly and in pairs, which is the same in many
// languages.
func features(dst []uint32, s []byte, tokens []token, c concept) []uint32 {
	var set [64]uint8
	n := 0
	for a := range uint8(conceptCount) {
		if c>>a&1 == 1 {
			set[n] = a
			n++
		}
	}
	for i, a := range set[:n] {
		for _, b := range set[i:n] {
			h := bucket(0x9e3779b9 + uint32(a)*64 + uint32(b))
			dst = append(dst, h, h)
		}
	}
	for level, rule := uint32(0), judge(c); level < 5 && rule > 0.35+0.12*float64(level); level++ {
		h := bucket(0x7feb352d * (level + 1))
		dst = append(dst, h, h, h)
	}
	var one, two uint32 // the words before
	for i := range tokens {
		t := &tokens[i]
		dst = append(dst, bucket(t.hash))
		if i < 3 {
			dst = append(dst, bucket(t.hash*7+uint32(i)*0x51ed27+3))
		}
		if one != 0 {
			dst = append(dst, bucket(one*31+t.hash))
		}
		if two != 0 {
			dst = append(dst, bucket(two*37+t.hash+5))
		}
		two, one = one, t.hash|1
		switch w := s[t.start:t.end]; {
		case t.number:
		case t.beyond:
			dst = runs(dst, w)
		case len(w) > 4:
			dst = grams(dst, w)
		}
	}
	return dst
}

// grams appends the runs of four letters of a word, and its beginning.
func grams(dst []uint32, word []byte) []uint32 {
	h := uint32(word[0])<<16 | uint32(word[1])<<8 | uint32(word[2])
	for _, c := range word[3:] {
		h = h<<8 | uint32(c)
		dst = append(dst, bucket(h*0x85ebca6b+97))
	}
	return append(dst, bucket(wordHash(word[:5])+13))
}

// runs appends the runs of two and three characters of a word beyond ASCII.
func runs(dst []uint32, word []byte) []uint32 {
	var one, two uint32
	for len(word) > 0 {
		r, n := utf8.DecodeRune(word)
		word = word[n:]
		h := uint32(r) * 0x9e3779b1
		if one != 0 {
			dst = append(dst, bucket(one*31+h))
		}
		if two != 0 {
			dst = append(dst, bucket(two*961+one*31+h+7))
		}
		two, one = one, h|1
	}
	return dst
}

func bucket(h uint32) uint32 {
	h ^= h >> 15
	h *= 0x2c1b3c6d
	return (h ^ h>>13) & (buckets - 1)
}
