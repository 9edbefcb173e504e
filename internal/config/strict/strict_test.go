package strict_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/internal/config/strict"
)

type inner struct {
	At   strict.At `yaml:"-"`
	Name string    `yaml:"name" required:"true"`
	N    int8      `yaml:"n"`
}

func (i *inner) Default() { i.N = 7 }

type everything struct {
	Text   string            `yaml:"text"`
	Word   string            `yaml:"word" oneof:"a|b"`
	Bool   bool              `yaml:"bool"`
	Int    int               `yaml:"int" min:"1" max:"9"`
	Uint   uint16            `yaml:"uint"`
	Float  float64           `yaml:"float" max:"1"`
	Time   time.Duration     `yaml:"time" min:"1s"`
	Size   notation.Size     `yaml:"size" max:"1MiB"`
	List   []inner           `yaml:"list" max:"2"`
	Map    map[string]inner  `yaml:"map"`
	Words  []string          `yaml:"words" oneof:"a|b"`
	Point  *inner            `yaml:"point"`
	Labels map[string]string `yaml:"labels"`
	Raw    strict.At         `yaml:"raw"`
}

func decode(text string, into ...any) strict.At {
	at := strict.Parse("f.yaml", []byte(text))
	if at.Exists() {
		strict.NewDecoder().Decode(at, into...)
	}
	return at
}

func TestValuesAreDecodedOverDefaults(t *testing.T) {
	v := everything{Text: "kept", Int: 5, List: []inner{{Name: "gone"}}}
	at := decode("bool: true\ntime: 5m\nsize: 1KiB\nfloat: 0.5\nuint: 65535\nlist: [{name: x}, {name: y, n: -1}]\nmap: {k: {name: z}}\nwords: [b, a]\npoint: {name: p, n: 2}\nlabels: {a: b}\nraw: [1, 2]\n", &v)
	if len(at.Problems()) > 0 {
		t.Fatal(at.Problems())
	}
	if v.Text != "kept" || v.Int != 5 || !v.Bool || v.Time != 5*time.Minute || v.Size != 1024 || v.Float != 0.5 || v.Uint != 65535 {
		t.Errorf("got %+v", v)
	}
	if len(v.List) != 2 || v.List[0].N != 7 || v.List[1].N != -1 || v.Map["k"].N != 7 || v.Labels["a"] != "b" || len(v.Words) != 2 {
		t.Errorf("got %+v", v)
	}
	if got := v.List[1].At.String(); got != "f.yaml:6:19" {
		t.Errorf("the second element is at %s", got)
	}
	if len(v.Raw.Items()) != 2 {
		t.Errorf("raw has %d items", len(v.Raw.Items()))
	}
}

func TestADefaultBehindAPointerIsNotWrittenThrough(t *testing.T) {
	shared := &inner{Name: "shared", N: 1}
	v := everything{Point: shared}
	decode("point: {name: mine}\n", &v)
	if shared.Name != "shared" || v.Point.Name != "mine" || v.Point.N != 1 {
		t.Errorf("shared is %+v, decoded is %+v", shared, v.Point)
	}
}

func TestAKeyBelongsToTheFirstStructThatHasIt(t *testing.T) {
	var a struct {
		Name string `yaml:"name"`
	}
	var b inner
	at := decode("name: x\nn: 3\n", &a, &b)
	if len(at.Problems()) != 0 || a.Name != "x" || b.Name != "" || b.N != 3 {
		t.Errorf("got %+v and %+v: %v", a, b, at.Problems())
	}
}

func TestProblemsSayWhatIsAllowed(t *testing.T) {
	for text, want := range map[string]string{
		"text: 7":          `f.yaml:1:7: text: must be text; write it in quotes`,
		"text: true":       `f.yaml:1:7: text: must be text; write it in quotes`,
		"text: 2025-11-25": ``,
		`text: "a\0b"`:     `f.yaml:1:7: text: must not contain a NUL character`,
		"word: c":          `f.yaml:1:7: word: "c" is not a known value; did you mean "a"?; allowed: a, b`,
		"words: [a, x]":    `f.yaml:1:12: words[1]: "x" is not a known value; did you mean "a"?; allowed: a, b`,
		"bool: yes":        `f.yaml:1:7: bool: must be true or false, not "yes"`,
		"bool: True":       `f.yaml:1:7: bool: must be true or false, not "True"`,
		"int: 10":          `f.yaml:1:6: int: must be from 1 to 9, not 10`,
		`int: "5"`:         `f.yaml:1:6: int: must be a whole number, not "5"`,
		"int: 0o7":         `f.yaml:1:6: int: must be a whole number, not "0o7"`,
		"uint: 65536":      `f.yaml:1:7: uint: must be a whole number, not "65536"`,
		"float: .nan":      `f.yaml:1:8: float: must be a number, not ".nan"`,
		"float: 1.5":       `f.yaml:1:8: float: must be at most 1, not 1.5`,
		"time: 10ms":       `f.yaml:1:7: time: must be at least 1s, not 10ms`,
		"size: 2MiB":       `f.yaml:1:7: size: must be at most 1MiB, not 2MiB`,
		"size: [1]":        `f.yaml:1:7: size: must be a size, not a list`,
		"list: [{name: a}, {name: b}, {name: c}]": `f.yaml:1:7: list: has 3 entries; at most 2 are allowed`,
		"list: [a]":      `f.yaml:1:8: list[0]: must be a mapping, not text`,
		"map: {k: {}}":   `f.yaml:1:10: map.k.name: is required`,
		"map: {a.b: {}}": `f.yaml:1:12: map["a.b"].name: is required`,
		"labels: {a: 1}": `f.yaml:1:13: labels.a: must be text; write it in quotes`,
		"point: ~":       `f.yaml:1:8: point: has no value; give it one or remove it`,
		"[a]":            `f.yaml:1:1: must be a mapping, not a list`,
		"text":           `f.yaml:1:1: must be a mapping, not text`,
		"é: 1":           `f.yaml:1:1: é: is not a known setting; allowed: text, word, bool, int, uint, float, time, size, list, map, words, point, labels, raw`,
		"\xff":           `f.yaml:1:1: is not text in UTF-8`,
		"text: é\xff":    `f.yaml:1:8: is not text in UTF-8`,
		"":               `f.yaml:1:1: is empty; it must hold at least one setting`,
		"~":              `f.yaml:1:1: must be a mapping, not nothing`,
		"text: \tx":      ``,
	} {
		at := decode(text, &everything{})
		if got := at.Problems().Error(); got != want {
			t.Errorf("%q gives\n%s\nwant\n%s", text, got, want)
		}
	}
}

func TestAFileTooLargeIsNotParsed(t *testing.T) {
	at := strict.Parse("f.yaml", make([]byte, strict.MaxBytes+1))
	if got := at.Problems().Error(); got != "f.yaml: is larger than 16 MiB" {
		t.Error(got)
	}
}

func TestProblemsAreErrorsOneByOneAndJSON(t *testing.T) {
	at := decode("int: 10\nzzz: 1\n", &everything{})
	err := errors.Join(errors.New("other"), at.Problems().Err())
	var problems strict.Problems
	if !errors.As(err, &problems) || len(problems) != 2 {
		t.Fatalf("found %v in %v", problems, err)
	}
	var one strict.Problem
	if !errors.As(err, &one) || one.Path != "int" {
		t.Errorf("found %+v", one)
	}
	b, err := json.Marshal(problems[:1])
	if want := `[{"file":"f.yaml","line":1,"column":6,"path":"int","text":"must be from 1 to 9, not 10"}]`; err != nil || string(b) != want {
		t.Errorf("JSON is %s (%v), want %s", b, err, want)
	}
	if strict.Problems(nil).Err() != nil {
		t.Error("problems where there are none")
	}
}

func TestDeepNestingIsRefusedNotRecursedInto(t *testing.T) {
	for _, text := range []string{strings.Repeat("[", 100_000), "raw: " + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000), strings.Repeat("- ", 100_000)} {
		if at := decode(text, &everything{}); len(at.Problems()) == 0 {
			t.Errorf("%.20q... is accepted", text)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		"text: a\nlist: [{name: x}]\n", "a: &a [*a]", "<<: {a: b}", "? {a: b} : c", "!!map {}", "--- a\n--- b", "a: |\n  b\n", "\"\\u0000\": 1",
		"map: {k: {name: z}}\nwords: [b, a]", "raw: [[[]]]", "time: 1h\nsize: 1KiB", "%YAML 1.2\n---\ntext: x\n", "\ufefftext: x", "text: 'a\n\n b'",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var v everything
		at := strict.Parse("f.yaml", data)
		if !at.Exists() {
			if len(at.Problems()) == 0 {
				t.Error("nothing was read and nothing was said")
			}
			return
		}
		strict.NewDecoder().Decode(at, &v)
		for _, p := range at.Problems() {
			if p.Line < 1 || p.Column < 1 || p.Text == "" {
				t.Errorf("a problem without a place: %+v", p)
			}
		}
	})
}
