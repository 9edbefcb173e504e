package wire

import (
	"fmt"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/mcp"
)

func TestTextsComeWithWhatSurroundsThem(t *testing.T) {
	raw := []byte(`{"a":{"card\u005fno":"4\u0031","list":["x",7]},"f":[{"field":"iban","value":"DE89"},{"value":"n"}]}`)
	var got []string
	var r Reader
	err := r.EachText(raw, func(t *Text) {
		start, end := t.Span(0, len(t.Value))
		got = append(got, fmt.Sprintf("%d %s=%s key %s above %s beside %s raw %s", t.Kind, t.Pointer(), t.Value, t.Key, t.Parent, t.Beside, raw[start:end]))
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`0 /a=a key  above  beside  raw a`,
		`0 /a/card_no=card_no key  above a beside  raw card\u005fno`,
		`1 /a/card_no=41 key card_no above a beside  raw 4\u0031`,
		`0 /a/list=list key  above a beside  raw list`,
		`1 /a/list/0=x key list above a beside  raw x`,
		`2 /a/list/1=7 key list above a beside x raw 7`,
		`0 /f=f key  above  beside  raw f`,
		`0 /f/0/field=field key  above f beside  raw field`,
		`1 /f/0/field=iban key field above f beside  raw iban`,
		`0 /f/0/value=value key  above f beside  raw value`,
		`1 /f/0/value=DE89 key value above f beside iban raw DE89`,
		`0 /f/1/value=value key  above f beside  raw value`,
		`1 /f/1/value=n key value above f beside  raw n`,
	}
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Errorf("missing %s", want[i])
		case i >= len(want):
			t.Errorf("superfluous %s", got[i])
		case got[i] != want[i]:
			t.Errorf("got  %s\nwant %s", got[i], want[i])
		}
	}
}

func TestTextsOfAMessageKnowTheirPlacesInIt(t *testing.T) {
	for raw, want := range map[string][]string{
		`{"jsonrpc":"2.0","id":"x","method":"m","params":{"a":"\n1","b":[7]}}`: {`/params/a a`, `/params/a \n1`, `/params/b b`, `/params/b/0 7`},
		`{"jsonrpc":"2.0", "result" : {"a":"x"},"id":1}`:                       {`/result/a a`, `/result/a x`},
		`{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"x"}}`:           {`/error/code code`, `/error/code -1`, `/error/message message`, `/error/message x`},
		`{"jsonrpc":"2.0","method":"notifications/initialized"}`:               nil,
	} {
		m := &mcp.Message{Raw: []byte(raw)}
		m.Params, _ = mcp.Member(m.Raw, "params")
		m.Result, _ = mcp.Member(m.Raw, "result")
		m.Error, _ = mcp.Member(m.Raw, "error")
		var got []string
		var r Reader
		err := r.EachOf(m, func(t *Text) {
			start, end := t.Span(0, len(t.Value))
			got = append(got, t.Pointer()+" "+raw[start:end])
		})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %q", raw, err, got)
		}
	}
}

func TestPartsThatAreNotOfTheMessageAreNoTexts(t *testing.T) {
	var r Reader
	err := r.EachOf(&mcp.Message{Raw: []byte(`{"params":{}}`), Result: []byte(`{"a":"x"}`)}, func(*Text) { t.Error("a text") })
	if err == nil {
		t.Error("no error")
	}
}

func TestEventsOfAStreamKeepTheirPlaces(t *testing.T) {
	raw := []byte("event: message\ndata: {\"a\":\r\ndata: 1}\n\n: note\nid: 3\ndata:x\n\n")
	var got []string
	EachEvent(raw, func(data []byte, at func(int) int) {
		got = append(got, fmt.Sprintf("%q %q %q", data, raw[at(0)], raw[at(len(data)-1)]))
	})
	want := []string{`"{\"a\":\n1}" '{' '}'`, `"x" 'x' 'x'`}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func FuzzTextsAreTheirSpans(f *testing.F) {
	f.Add([]byte(`{"k\u00e9y":"a\n\ud83d\ude00b","n":[1e3,"x"]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var r Reader
		_ = r.EachText(raw, func(x *Text) {
			start, end := x.Span(0, len(x.Value))
			if x.Kind == mcp.LeafNumber {
				return
			}
			if start < 1 || end > len(raw) || raw[start-1] != '"' || raw[end] != '"' {
				t.Fatalf("%q: %d to %d", raw, start, end)
			}
			if again := string(mcp.AppendUnquote(nil, raw[start-1:end+1])); again != string(x.Value) {
				t.Fatalf("%q: value %q, span says %q", raw, x.Value, again)
			}
		})
	})
}
