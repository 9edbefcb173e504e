// Package corpus makes labelled texts for the training of the injection model:
// families of what attackers say to models, and of what people and programs
// write, as grammars. The same seed gives the same texts.
package corpus

import (
	"embed"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strconv"
	"strings"
)

//go:embed grammar/*.txt
var files embed.FS

// Text is one made text.
type Text struct {
	Text    string
	Label   int
	Family  string
	Channel string
	Line    string // that it was made of
}

// Grammar is a set of families and the slots they share.
type Grammar struct {
	slots    map[string][]string
	families []family
}

type family struct {
	name, channel string
	label         int
	lines         []string
}

// Shipped returns the grammar in this folder.
func Shipped() (*Grammar, error) {
	g := &Grammar{slots: make(map[string][]string)}
	names, err := fs.Glob(files, "grammar/*.txt")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if err := g.parse(string(text)); err != nil {
			return nil, fmt.Errorf("corpus: %s: %w", name, err)
		}
	}
	return g, nil
}

func (g *Grammar) parse(text string) error {
	var now *family
	for n, line := range strings.Split(text, "\n") {
		begins, _, _ := strings.Cut(line, " ")
		switch {
		case line == "":
			now = nil
		case now != nil:
			now.lines = append(now.lines, line)
		case strings.HasPrefix(line, "#"):
		case begins == "+" || begins == "-":
			f := strings.Fields(line)
			if len(f) != 3 {
				return fmt.Errorf("line %d: a family has a name and a channel", n+1)
			}
			g.families = append(g.families, family{name: f[1], channel: f[2]})
			now = &g.families[len(g.families)-1]
			if begins == "+" {
				now.label = 1
			}
		default:
			name, list, ok := strings.Cut(line, " = ")
			if !ok {
				return fmt.Errorf("line %d: neither a slot nor a family", n+1)
			}
			for _, alt := range strings.Split(list, " | ") {
				g.slots[name] = append(g.slots[name], strings.TrimSuffix(alt, " |"))
			}
		}
	}
	return nil
}

// Make returns up to perLine different texts of every line of every family.
func (g *Grammar) Make(seed uint64, perLine int) []Text {
	var out []Text
	for i := range g.families {
		f := &g.families[i]
		for k, line := range f.lines {
			rng := rand.New(rand.NewPCG(seed, uint64(i)<<32|uint64(k))) //nolint:gosec // the same seed, the same texts
			seen := make(map[string]bool)
			for range perLine {
				var b strings.Builder
				g.expand(&b, line, rng, 0)
				text := strings.Join(strings.Fields(strings.ReplaceAll(b.String(), "\\n", "\n")), " ")
				if !seen[text] {
					seen[text] = true
					out = append(out, Text{dress(text, rng), f.label, f.name, f.channel, f.name + strconv.Itoa(k)})
				}
			}
		}
	}
	return out
}

// deepest bounds how far slots name slots.
const deepest = 8

// expand writes one text of a line.
func (g *Grammar) expand(b *strings.Builder, line string, rng *rand.Rand, depth int) {
	if depth > deepest {
		return
	}
	for len(line) > 0 {
		i := strings.IndexAny(line, "{[")
		if i < 0 {
			b.WriteString(line)
			return
		}
		b.WriteString(line[:i])
		end := closing(line, i)
		if end < 0 { // a bracket of the text itself
			b.WriteByte(line[i])
			line = line[i+1:]
			continue
		}
		inside, opened := line[i+1:end], line[i]
		line = line[end+1:]
		choices := split(inside)
		switch alts, slot := g.slots[inside]; {
		case opened == '[' && strings.Trim(inside, "/ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "": // [INST] is itself
			b.WriteString("[" + inside + "]")
		case opened == '[':
			if rng.IntN(2) == 0 {
				g.expand(b, choices[rng.IntN(len(choices))], rng, depth+1)
			}
		case slot:
			g.expand(b, alts[rng.IntN(len(alts))], rng, depth+1)
		case len(choices) > 1:
			pick := choices[rng.IntN(len(choices))]
			if alts, ok := g.slots[pick]; ok { // {doc|file} names the slot doc
				pick = alts[rng.IntN(len(alts))]
			}
			g.expand(b, pick, rng, depth+1)
		default:
			b.WriteByte(opened)
			g.expand(b, inside, rng, depth+1)
			b.WriteByte(opened + 2)
		}
	}
}

// closing returns where the bracket at i closes, -1 when it does not.
func closing(s string, i int) int {
	depth := 0
	for k := i; k < len(s); k++ {
		switch s[k] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return k
			}
		}
	}
	return -1
}

// split cuts at the bars that are in no bracket.
func split(s string) []string {
	var out []string
	depth, from := 0, 0
	for i := range len(s) {
		switch s[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '|':
			if depth == 0 {
				out, from = append(out, s[from:i]), i+1
			}
		}
	}
	return append(out, s[from:])
}

// dress writes a text as people do: now and then in capitals, without capitals,
// as a comment, a bullet or in quotes. Both kinds are dressed alike, so that
// dress tells nothing.
func dress(s string, rng *rand.Rand) string {
	first := s
	if s != "" && isLower(s[0]) {
		first = strings.ToUpper(s[:1]) + s[1:]
	}
	switch rng.IntN(24) {
	case 0:
		return strings.ToUpper(s)
	case 1:
		return strings.ToLower(s)
	case 2:
		return strings.TrimRight(s, ".") + "!"
	case 3:
		return "- " + first
	case 4:
		return "<!-- " + first + " -->"
	case 5:
		return "# " + first
	case 6:
		return "P.S. " + first
	case 7:
		return "Note: " + s
	case 8:
		return "> " + first
	case 9:
		return "(" + s + ")"
	case 10:
		return strings.TrimRight(s, ".")
	case 11:
		return "**" + first + "**"
	case 12:
		return typo(first, rng)
	}
	return first
}

// typo swaps two letters of a word.
func typo(s string, rng *rand.Rand) string {
	if len(s) < 12 {
		return s
	}
	b := []byte(s)
	i := 1 + rng.IntN(len(b)-3)
	if isLower(b[i]) && isLower(b[i+1]) {
		b[i], b[i+1] = b[i+1], b[i]
	}
	return string(b)
}

func isLower(c byte) bool { return c >= 'a' && c <= 'z' }
