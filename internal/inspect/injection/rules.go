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
type concept uint32

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
)

var conceptNames = [...]string{"drop", "prior", "orders", "reveal", "inner", "secret", "you", "must", "hide", "send", "act", "tool", "role", "free", "answer", "user", "code"}

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
	words    map[string]concept
	prefixes map[string][]entry // by the first three bytes
	phrases  map[string][]entry // by the first word
	han      []entry            // scripts without spaces
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
	l := &lexicon{words: make(map[string]concept), prefixes: make(map[string][]entry), phrases: make(map[string][]entry)}
	for i, name := range conceptNames {
		for _, w := range file[name] {
			l.add(string(fold(nil, []byte(w))), 1<<i)
		}
	}
	for what, list := range map[concept][]string{
		drop | prior | orders: {"忽略之前", "忽略以上", "忽略前面", "无视之前", "忽略所有", "忽略上述", "無視して", "以前の指示", "이전 지시", "이전의 지시", "무시하", "忘记之前", "忘掉之前"},
		reveal | inner:        {"系统提示", "システムプロンプト", "시스템 프롬프트", "系統提示"},
		hide | user:           {"不要告诉用户", "不要告知用户", "ユーザーに言わない", "ユーザーには伝えない", "사용자에게 알리지"},
		role | free:           {"没有任何限制", "不受限制", "制限なし", "제한 없이"},
	} {
		for _, w := range list {
			l.han = append(l.han, entry{w, what})
		}
	}
	return l
})

func (l *lexicon) add(w string, what concept) {
	if first, rest, ok := strings.Cut(w, "_"); ok {
		l.phrases[first] = append(l.phrases[first], entry{rest, what})
		return
	}
	if p, ok := strings.CutSuffix(w, "*"); ok && len(p) >= 3 {
		l.prefixes[p[:3]] = append(l.prefixes[p[:3]], entry{p, what})
		return
	}
	l.words[w] |= what
}

// concepts returns what a folded sentence speaks of.
func (l *lexicon) concepts(s []byte) concept {
	var out concept
	ascii := true
	for i := 0; i < len(s); {
		if !inWord(s[i]) {
			i++
			continue
		}
		j := i
		for j < len(s) && inWord(s[j]) {
			ascii = ascii && s[j] < 0x80
			j++
		}
		w := s[i:j]
		out |= l.words[string(w)]
		if len(w) >= 3 {
			for _, e := range l.prefixes[string(w[:3])] {
				if bytes.HasPrefix(w, []byte(e.rest)) {
					out |= e.what
				}
			}
		}
		for _, e := range l.phrases[string(w)] {
			if follows(s[j:], e.rest) {
				out |= e.what
			}
		}
		i = j
	}
	if !ascii {
		for _, e := range l.han {
			if bytes.Contains(s, []byte(e.rest)) {
				out |= e.what
			}
		}
	}
	return out
}

// follows reports whether the words of phrase, joined by underscores, come next.
func follows(s []byte, phrase string) bool {
	for phrase != "" {
		want, rest, _ := strings.Cut(phrase, "_")
		gap := 0
		for gap < len(s) && gap < 3 && !inWord(s[gap]) {
			gap++
		}
		s = s[gap:]
		if p, wild := strings.CutSuffix(want, "*"); wild {
			if !bytes.HasPrefix(s, []byte(p)) {
				return false
			}
			want = p
		} else if !bytes.HasPrefix(s, []byte(want)) || len(s) > len(want) && inWord(s[len(want)]) {
			return false
		}
		n := len(want)
		for n < len(s) && inWord(s[n]) {
			n++
		}
		s, phrase = s[n:], rest
	}
	return true
}

// judge returns the score of the best rule for a set of concepts.
func judge(c concept) float64 {
	best := 0.0
	for _, r := range rules {
		if c&r.all == r.all && r.score > best {
			best = r.score
		}
	}
	if n := bits.OnesCount32(uint32(c)); best > 0 && n > 5 {
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
