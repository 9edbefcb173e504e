package jsonscan

import "testing"

func TestMembersAreFound(t *testing.T) {
	text := []byte(` { "jsonrpc" : "2.0", "id":-7 ,"a\"b":"}\\", "o":{"id":1,"s":"]}"},"l":[1,"]",{}], "t":true }`)
	for name, want := range map[string]string{
		"jsonrpc": `"2.0"`, "id": "-7", `a\"b`: `"}\\"`, "o": `{"id":1,"s":"]}"}`, "l": `[1,"]",{}]`, "t": "true", "absent": "",
	} {
		if got := string(Get(text, name)); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestWhatIsNoWholeObjectIsToldApart(t *testing.T) {
	all := func(_, _ []byte) bool { return true }
	for text, want := range map[string]bool{
		`{}`: true, `{"a":1}`: true, ``: false, `[]`: false, `{`: false, `{"a"`: false, `{"a":`: false, `{"a":1`: false,
		`{"a":"x`: false, `{"a":{"b":1}`: false, `{"a":1 "b":2}`: false, `{"a":}`: false, `{"a":"\"}`: false, `{1:2}`: false,
	} {
		if got := Members([]byte(text), all); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func FuzzMembersNeverPanics(f *testing.F) {
	f.Add([]byte(`{"a":["\\",{"b":"\""}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		Members(b, func(_, v []byte) bool { Text(v); return true })
	})
}
