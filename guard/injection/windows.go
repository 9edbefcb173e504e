package injection

import (
	"cmp"
	"slices"
	"unicode/utf8"
)

// part is what the critic is asked about a place: its text, or a window of it.
type part struct {
	question *Question
	score    float64 // the gateway's own, and then what the opinion made of it
	said     string  // what became of the opinion
}

// A long text is scored once more in pieces, to find where it is suspicious.
// Neighbours overlap, so that every sentence stands whole in one.
const (
	pieceBytes = 1024
	overlap    = 4 // a piece shares so much of itself with the next: a fourth
)

type piece struct {
	start, end int
	score      float64
}

// windows returns the parts of a text that is longer than what may be sent: round
// the pieces that score highest, as many as are configured. What stands in none
// of them keeps the gateway's own score, rest, which no opinion about the others
// can lower. whole is the score of the text.
func (s *second) windows(score func([]byte) float64, kind string, text []byte, whole float64) (parts []part, rest float64) {
	pieces := cut(text, min(pieceBytes, max(1, s.MaxBytes/2)))
	best := 0.0
	for i := range pieces {
		p := &pieces[i]
		p.score = score(text[p.start:p.end])
		best = max(best, p.score)
	}
	if best < whole-0.01 {
		rest = whole // what gives it away is in no piece alone: letters that nobody sees, say
	}
	slices.SortStableFunc(pieces, func(a, b piece) int { return cmp.Compare(b.score, a.score) })
	var within []piece // the windows
	for _, p := range pieces {
		at := slices.IndexFunc(within, func(w piece) bool { return w.start <= p.start && p.end <= w.end })
		switch {
		case at >= 0: // it does not raise the window's score, being less suspicious than its first
		case len(within) < s.Windows && p.score >= s.From:
			within = append(within, round(text, p, s.MaxBytes))
		default:
			rest = max(rest, p.score)
		}
	}
	if len(within) > 0 && rest < whole {
		rest = max(rest, score(without(text, pieces, s.From))) // one that scores as high hides nothing that is spread over the others
	}
	for _, w := range within {
		parts = append(parts, part{score: w.score, question: &Question{Kind: kind, Text: string(text[w.start:w.end]), Score: w.score}})
	}
	return parts, rest
}

// without returns a text without its pieces that score so high.
func without(text []byte, pieces []piece, from float64) []byte {
	var out []byte
	high := slices.DeleteFunc(slices.Clone(pieces), func(p piece) bool { return p.score < from })
	slices.SortFunc(high, func(a, b piece) int { return a.start - b.start })
	at := 0
	for _, p := range high {
		out = append(out, text[at:max(at, p.start)]...)
		at = max(at, p.end)
	}
	return append(out, text[at:]...)
}

// cut divides a text into pieces of so many bytes, which end between characters.
func cut(text []byte, size int) (out []piece) {
	for start := 0; ; {
		end := boundary(text, min(start+size, len(text)))
		if end <= start {
			end = min(start+utf8.UTFMax, len(text))
			for end < len(text) && !utf8.RuneStart(text[end]) {
				end++
			}
		}
		out = append(out, piece{start: start, end: end})
		if end == len(text) {
			return out
		}
		next := boundary(text, end-size/overlap)
		start = max(next, start+1)
		for !utf8.RuneStart(text[start]) {
			start++
		}
	}
}

// round widens a piece to at most so many bytes, as far on either side as there is
// text.
func round(text []byte, p piece, size int) piece {
	start := max(0, p.start-(size-(p.end-p.start))/2)
	end := min(len(text), start+size)
	start = max(0, end-size)
	for start < p.start && !utf8.RuneStart(text[start]) {
		start++
	}
	return piece{start, max(p.end, boundary(text, end)), p.score}
}

// boundary is i, or where the character begins that it stands in.
func boundary(text []byte, i int) int {
	for i > 0 && i < len(text) && !utf8.RuneStart(text[i]) {
		i--
	}
	return i
}
