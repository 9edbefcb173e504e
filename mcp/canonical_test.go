package mcp_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/mcp"
)

func canonical(t testing.TB, raw string) string {
	t.Helper()
	out, ok := mcp.AppendCanonical(nil, []byte(raw))
	if !ok {
		t.Fatalf("%s is no JSON", raw)
	}
	return string(out)
}

func TestOneValueHasOneText(t *testing.T) {
	for _, c := range []struct{ raw, want string }{
		{` { "b" : 1 , "a" : [ true , null , { } , [ ] ] } `, `{"a":[true,null,{},[]],"b":1}`},
		{`{"a":{"d":1,"c":2},"A":"x"}`, `{"A":"x","a":{"c":2,"d":1}}`},
		{`"\u0061\/\u20ac\u000F\u000aA'\u0042\u0022\u005c\\\"\b\f\n\r\t\u007f"`, `"a/€\u000f\nA'B\"\\\\\"\b\f\n\r\t` + "\x7f" + `"`}, // after RFC 8785, 3.2.2
		{`{"\u0062":1,"a":2}`, `{"a":2,"b":1}`},
		{`{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}`, // RFC 8785, 3.2.3
			"{\"\\r\":2,\"1\":4,\"\u0080\":6,\"\u00f6\":7,\"\u20ac\":1,\"\U0001f600\":5,\"\ufb33\":3}"},
		{`[1.0,1e0,10e-1,0.1E1,1]`, `[1,1,1,1,1]`},
		{`[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001]`, `[333333333.33333329,1e+30,4.5,0.002,1e-27]`},
		{`[0,-0,0.0,-0e9,0e-99]`, `[0,0,0,0,0]`},
		{`[1e20,1e21,1e22,123e20,1e-6,1e-7,1.5e-7,-120]`, `[100000000000000000000,1e+21,1e+22,1.23e+22,0.000001,1e-7,1.5e-7,-120]`},
		{`[9007199254740993,9007199254740992]`, `[9007199254740993,9007199254740992]`}, // one double, two accounts
		{`1E99999999999999999999`, `1e99999999999999999999`},
	} {
		if got := canonical(t, c.raw); got != c.want {
			t.Errorf("%s is\n%s, want\n%s", c.raw, got, c.want)
		}
	}
	for _, raw := range []string{"", "{", "[1,]", `{"a":1,}`, `{"a"}`, `{"a":}`, `[1 2]`, `{"a":1 "b":2}`, "1 2", "01", `"\ud800"`, "nul", `{1:2}`, "[,1]", strings.Repeat("[", 5000)} {
		if out, ok := mcp.AppendCanonical([]byte("kept"), []byte(raw)); ok || string(out) != "kept" {
			t.Errorf("%q is %q", raw, out)
		}
	}
}

// An attacker picks what is dearest to sort, to unescape and to descend.
func TestCanonicalFormOfHostileTexts(t *testing.T) {
	var keys, escaped strings.Builder
	for i := range 16384 {
		fmt.Fprintf(&keys, `,"k%08d":%d`, 16384-i, i)
	}
	for i := range 4000 {
		fmt.Fprintf(&escaped, `,"\u0061%d":"\u0061\ud83d\ude00"`, 4000-i)
	}
	for name, raw := range map[string]string{
		"keys in reverse": "{" + keys.String()[1:] + "}", "escapes": "{" + escaped.String()[1:] + "}",
		"nested objects": strings.Repeat(`{"b":1,"a":`, 60) + "1" + strings.Repeat("}", 60),
		"a long number":  strings.Repeat("1", 1<<16) + "." + strings.Repeat("0", 1<<16), "a power": "1e-999999999",
	} {
		once := canonical(t, raw)
		if twice := canonical(t, once); once != twice {
			t.Errorf("%s: the form of the form is another", name)
		}
		if len(once) > 2*len(raw)+64 {
			t.Errorf("%s: %d bytes became %d", name, len(raw), len(once))
		}
	}
}

func FuzzCanonical(f *testing.F) {
	for _, s := range []string{`{"b":[1,2.50,{"z":null,"a":"\u00e9\ud83d\ude00"}],"a":-0.0e5}`, `{"\u0062":1,"b":2}`, "[1e400,1E-9]", `"\b"`, "{", `{"a":1}x`} {
		f.Add([]byte(s), uint64(1))
	}
	f.Fuzz(func(t *testing.T, raw []byte, seed uint64) {
		kept := bytes.Clone(raw)
		out, ok := mcp.AppendCanonical(nil, raw)
		if !bytes.Equal(raw, kept) {
			t.Fatal("it wrote into the text")
		}
		want, err := exact(raw)
		if !ok {
			if err == nil && mcp.Walk(raw, func(mcp.Leaf) error { return nil }) == nil && bytes.Count(raw, []byte("["))+bytes.Count(raw, []byte("{")) < 900 {
				t.Fatalf("%q is refused", raw)
			}
			return
		}
		if again, ok := mcp.AppendCanonical(nil, out); !ok || !bytes.Equal(again, out) {
			t.Fatalf("%q becomes %q and then %q", raw, out, again)
		}
		got, err2 := exact(out)
		if err != nil || err2 != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q became %q, which is another value (%v, %v)", raw, out, err, err2)
		}
		// Another text of the same value: members in another order, other spaces, other numbers and escapes.
		if distinct(raw) {
			other := scramble(rand.New(rand.NewPCG(seed, 1)), want)
			if form, ok := mcp.AppendCanonical(nil, other); !ok || !bytes.Equal(form, out) {
				t.Fatalf("%q has the form %q, and %q, the same value, %q", raw, out, other, form)
			}
		}
	})
}

// exact decodes with numbers as they are worth.
func exact(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return normal(v), nil
}

// number is a number's value: its digits, without zeros at either end, and the
// power of ten that they are multiplied by.
type number string

func worth(lexeme string) number {
	rest, negative := strings.CutPrefix(lexeme, "-")
	mantissa, exponent := rest, "0"
	if e := strings.IndexAny(rest, "eE"); e >= 0 {
		mantissa, exponent = rest[:e], strings.TrimPrefix(rest[e+1:], "+")
	}
	power, _ := new(big.Int).SetString(exponent, 10)
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	power.Sub(power, big.NewInt(int64(len(fraction))))
	short := strings.TrimRight(digits, "0")
	power.Add(power, big.NewInt(int64(len(digits)-len(short))))
	switch {
	case short == "":
		return "0"
	case negative:
		short = "-" + short
	}
	return number(short + "e" + power.String())
}

func normal(v any) any {
	switch v := v.(type) {
	case json.Number:
		return worth(string(v))
	case []any:
		for i := range v {
			v[i] = normal(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = normal(v[k])
		}
	}
	return v
}

// distinct reports whether no object has one name twice, and no number is
// written with a power of ten.
func distinct(raw []byte) bool {
	d := mcp.NewDecoder(mcp.Config{Limits: mcp.Limits{Bytes: 1 << 20, Depth: 500, Keys: 1 << 16, NumberLen: 100, StringIDLen: 256}})
	_, f := d.Decode(mcp.ToClient, append(append([]byte(`{"jsonrpc":"2.0","id":1,"result":{"x":`), raw...), "}}"...))
	powers := false
	_ = mcp.Walk(raw, func(l mcp.Leaf) error {
		powers = powers || l.Kind == mcp.LeafNumber && bytes.ContainsAny(l.Lexeme(), "eE")
		return nil
	})
	return f == nil && !powers
}

func scramble(r *rand.Rand, v any) []byte {
	space := []string{"", " ", "\n\t"}[r.IntN(3)]
	switch v := v.(type) {
	case map[string]any:
		b := []byte("{" + space)
		for k, e := range v { // in any order
			if len(b) > 1+len(space) {
				b = append(b, ',')
			}
			b = append(append(append(b, spell(r, k)...), space+":"...), scramble(r, e)...)
		}
		return append(b, '}')
	case []any:
		b := []byte("[")
		for i, e := range v {
			if i > 0 {
				b = append(b, space+","...)
			}
			b = append(b, scramble(r, e)...)
		}
		return append(b, ']')
	case string:
		return spell(r, v)
	case number:
		n, _ := new(big.Rat).SetString(string(v))
		return []byte(n.FloatString(110) + []string{"", "e0", "E+00"}[r.IntN(3)])
	}
	b, _ := json.Marshal(v)
	return b
}

func spell(r *rand.Rand, s string) []byte {
	if r.IntN(2) == 0 {
		return mcp.AppendQuote(nil, s)
	}
	b, _ := json.Marshal(s) // escapes <, > and & as well
	return b
}

func BenchmarkCanonical(b *testing.B) {
	for _, size := range []int{200, 10 << 10, 1 << 20} {
		raw := []byte(`{"query":"` + strings.Repeat("The quick brown fox. ", size/21) + `","limit":10,"filter":{"z":true,"a":[1,2,3]},"account":"C-1"}`)
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			var out []byte
			for b.Loop() {
				out, _ = mcp.AppendCanonical(out[:0], raw)
			}
		})
	}
}
