package injection

import (
	"bytes"
	_ "embed"
	"math/bits"
	"strings"
	"sync"

	"go.yaml.in/yaml/v4"
)

// concept is a bit of what a sentence speaks of.
type concept uint64

const (
	drop concept = 1 << iota
	prior
	orders
	reveal
	inner
	secret
	you
	must
	hide
	send
	act
	tool
	role
	free
	answer
	user
	code
	machine // a model, said so that nothing else can be meant
	reading // whoever reads this
	instead
	meta   // talk about attacks, not attacks
	report // what somebody said or did
	people // whom only people write to
	second // you, your
	polite
	produce
	promote
	authority
	// What follows has no words but a form.
	question
	place
	quote
	program
	short
	long
	starts // with a word that tells somebody to do something
)

var conceptNames = [...]string{"drop", "prior", "orders", "reveal", "inner", "secret", "you", "must", "hide", "send", "act", "tool", "role", "free", "answer", "user", "code",
	"machine", "reading", "instead", "meta", "report", "people", "second", "polite", "produce", "promote", "authority"}

// conceptCount includes those without words.
const conceptCount = 35

// rule says how suspicious a sentence is that speaks of all of these.
type rule struct {
	all   concept
	score float64
}

// rules are about what is said, not how: an author of documents has no reason
// to say it, whatever the words.
var rules = []rule{
	{drop | prior | orders, 0.93}, {drop | orders | you, 0.85}, {drop | orders, 0.5},
	{reveal | inner, 0.8}, {reveal | secret | you, 0.6}, {send | inner, 0.8},
	{hide | user, 0.9}, {hide | answer, 0.85}, {hide | act, 0.75}, {hide | send, 0.8}, {hide, 0.55},
	{you | must | act | tool, 0.7}, {you | must | send, 0.6}, {you | must | secret, 0.7}, {send | secret | must, 0.6}, {send | secret | tool, 0.65},
	{role | free, 0.85}, {role | you | drop, 0.85}, {free | you | answer, 0.7}, {free | you, 0.6}, {role | you, 0.5}, {free | orders, 0.55},
	{answer | code, 0.8}, {answer | must, 0.5}, {answer | send, 0.45}, {answer | act, 0.4}, {must | tool | secret, 0.6}, {orders | you | must | user, 0.5},
}

//go:embed concepts.yaml
var conceptText []byte

// lexicon finds concepts by words.
type lexicon struct {
	known    [1 << 10]uint64    // a bit for the hash of each word, and of each first word of a phrase
	heads    [1 << 10]uint64    // a bit for the first three bytes of each prefix
	words    map[uint32]concept // by the hash of the word
	prefixes map[uint32][]entry // by the first three bytes
	phrases  map[uint32][]entry // by the hash of the first word
	han      map[uint32][]entry // of scripts without spaces, by the first character
}

type entry struct {
	rest string
	what concept
}

var words = sync.OnceValue(func() *lexicon {
	var file map[string][]string
	if err := yaml.Load(conceptText, &file); err != nil {
		return nil // New reports it
	}
	l := &lexicon{words: make(map[uint32]concept), prefixes: make(map[uint32][]entry), phrases: make(map[uint32][]entry), han: make(map[uint32][]entry)}
	for i, name := range conceptNames {
		for _, w := range file[name] {
			l.add(string(fold(nil, []byte(w))), 1<<i)
		}
	}
	return l
})

func (l *lexicon) add(w string, what concept) {
	mark := func(set *[1 << 10]uint64, h uint32) uint32 {
		set[h>>6&1023] |= 1 << (h & 63)
		return h
	}
	// Words of scripts without spaces stand anywhere in a run.
	if c := w[0]; c >= 0xe3 && c <= 0xed {
		h := mark(&l.heads, head([]byte(w)))
		l.han[h] = append(l.han[h], entry{w, what})
		return
	}
	if first, rest, ok := strings.Cut(w, "_"); ok {
		h := mark(&l.known, wordHash([]byte(first)))
		l.phrases[h] = append(l.phrases[h], entry{rest, what})
		return
	}
	if p, ok := strings.CutSuffix(w, "*"); ok && len(p) >= 3 {
		h := mark(&l.heads, head([]byte(p)))
		l.prefixes[h] = append(l.prefixes[h], entry{p, what})
		return
	}
	l.words[mark(&l.known, wordHash([]byte(w)))] |= what
}

func has(set *[1 << 10]uint64, h uint32) bool { return set[h>>6&1023]>>(h&63)&1 == 1 }

// head is a number for the first three bytes of a word.
func head(w []byte) uint32 {
	return (uint32(w[0])<<16 | uint32(w[1])<<8 | uint32(w[2])) * 0x9e3779b1 >> 12
}

// concepts returns what a folded sentence speaks of, whose words are tokens.
func (l *lexicon) concepts(s []byte, tokens []token) concept {
	out := shape(s, tokens)
	for i, t := range tokens {
		if i == 1 && out&(drop|reveal|send|act|produce) != 0 {
			out |= starts
		}
		w := s[t.start:t.end]
		if has(&l.known, t.hash) {
			out |= l.words[t.hash]
			for _, e := range l.phrases[t.hash] {
				if out&e.what != e.what && follows(s[t.end:], e.rest) {
					out |= e.what
				}
			}
		}
		if t.beyond {
			out |= l.inside(w, out)
		}
		if len(w) >= 3 {
			if h := head(w); has(&l.heads, h) {
				for _, e := range l.prefixes[h] {
					if out&e.what != e.what && len(w) >= len(e.rest) && string(w[:len(e.rest)]) == e.rest {
						out |= e.what
					}
				}
			}
		}
	}
	return out
}

// inside returns what words without spaces around them stand in a run.
func (l *lexicon) inside(run []byte, have concept) concept {
	for i := 0; i+2 < len(run); i++ {
		if run[i] < 0xe3 || run[i] > 0xed {
			continue
		}
		if h := head(run[i:]); has(&l.heads, h) {
			for _, e := range l.han[h] {
				if have&e.what != e.what && bytes.HasPrefix(run[i:], []byte(e.rest)) {
					have |= e.what
				}
			}
		}
		i += 2
	}
	return have
}

// shape returns what is seen of a sentence without knowing its words.
func shape(s []byte, tokens []token) concept {
	var out concept
	if n := len(s); n > 0 && (s[n-1] == '?' || bytes.HasSuffix(s, []byte("？"))) {
		out |= question
	}
	if bytes.IndexByte(s, '@') > 0 || bytes.Contains(s, []byte("://")) || bytes.Contains(s, []byte("www.")) {
		out |= place
	}
	if i := bytes.IndexByte(s, '"'); i >= 0 {
		out |= quote
	}
	if bytes.IndexByte(s, '(') >= 0 && bytes.IndexByte(s, ')') >= 0 || bytes.IndexByte(s, '=') >= 0 || bytes.IndexByte(s, '_') >= 0 || bytes.IndexByte(s, '`') >= 0 {
		out |= program
	}
	if len(tokens) < 6 {
		out |= short
	} else if len(tokens) > 24 {
		out |= long
	}
	return out
}

// follows reports whether the words of phrase, joined by underscores, come next.
func follows(s []byte, phrase string) bool {
	for phrase != "" {
		want, rest, _ := strings.Cut(phrase, "_")
		gap := 0
		for gap < len(s) && gap < 3 && !inWord[s[gap]] {
			gap++
		}
		s = s[gap:]
		if p, wild := strings.CutSuffix(want, "*"); wild {
			if !bytes.HasPrefix(s, []byte(p)) {
				return false
			}
			want = p
		} else if !bytes.HasPrefix(s, []byte(want)) || len(s) > len(want) && inWord[s[len(want)]] {
			return false
		}
		n := len(want)
		for n < len(s) && inWord[s[n]] {
			n++
		}
		s, phrase = s[n:], rest
	}
	return true
}

// worded are the concepts that rules count.
const worded = code<<1 - 1

// judge returns the score of the best rule for a set of concepts.
func judge(c concept) float64 {
	best := 0.0
	for _, r := range rules {
		if c&r.all == r.all && r.score > best {
			best = r.score
		}
	}
	if n := bits.OnesCount64(uint64(c & worded)); best > 0 && n > 5 {
		best = min(0.97, best+0.03*float64(n-5))
	}
	return best
}

// forgeries are marks by which conversations and tool calls are written. No
// document needs them; those that many do, score low.
var forgeries = []struct {
	mark  string
	score float64
}{
	{"<|im_start|>", 0.9}, {"<|im_end|>", 0.9}, {"<|system|>", 0.9}, {"<|user|>", 0.85}, {"<|assistant|>", 0.85}, {"<|endoftext|>", 0.85},
	{"<|start_header_id|>", 0.9}, {"<|eot_id|>", 0.9}, {"[/inst]", 0.85}, {"<<sys>>", 0.9}, {"<start_of_turn>", 0.9}, {"### instruction:", 0.75},
	{"### response:", 0.6}, {"</tool_result>", 0.85}, {"</tool_response>", 0.85}, {"<tool_call>", 0.85}, {"<function_calls>", 0.85}, {"<invoke name=", 0.8},
	{"<system>", 0.75}, {"</system>", 0.7}, {"<system-reminder>", 0.8}, {"\nassistant:", 0.5}, {"\nhuman:", 0.45}, {"[system]", 0.6}, {"[system message]", 0.8},
	{"begin system message", 0.8}, {"new instructions:", 0.75}, {"system override", 0.8}, {"end of document", 0.3}, {"<important>", 0.75},
}

func forged(text []byte) float64 {
	best := 0.0
	if bytes.IndexByte(text, '<') < 0 && bytes.IndexByte(text, '[') < 0 && bytes.IndexByte(text, ':') < 0 && !bytes.Contains(text, []byte("override")) && !bytes.Contains(text, []byte("document")) && !bytes.Contains(text, []byte("system message")) {
		return 0
	}
	for _, f := range forgeries {
		if f.score > best && bytes.Contains(text, []byte(f.mark)) {
			best = f.score
		}
	}
	return best
}
