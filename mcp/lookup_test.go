package mcp_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sallyport/sallyport/mcp"
)

func TestLookup(t *testing.T) {
	const text = ` {"a":{"b":[1,{"c":"}"},[ ]],"B":2},"m~n/":"x","":{"":0},"\u0061b":true, "last" : null } `
	for _, c := range []struct{ pointer, want string }{
		{"", strings.TrimSpace(text)},
		{"/a/b/0", "1"}, {"/a/b/1", `{"c":"}"}`}, {"/a/b/1/c", `"}"`}, {"/a/b/2", "[ ]"}, {"/a/B", "2"},
		{"/m~0n~1", `"x"`}, {"/", `{"":0}`}, {"//", "0"}, {"/ab", "true"}, {"/last", "null"},
		{"/A", ""}, {"/a/b/3", ""}, {"/a/b/01", ""}, {"/a/b/-", ""}, {"/a/b/-1", ""}, {"/a/b/+0", ""}, {"/a/b/", ""},
		{"/a/B/x", ""}, {"a", ""}, {"/m~n", ""}, {"/~2", ""}, {"/last/x", ""},
	} {
		got, ok := mcp.Lookup([]byte(text), c.pointer)
		if string(got) != c.want || ok != (c.want != "") {
			t.Errorf("Lookup(%q) = %s, %v; want %s", c.pointer, got, ok, c.want)
		}
	}
	if _, ok := mcp.Member([]byte(`{"Name":1}`), "name"); ok {
		t.Error("Member folds case")
	}
	if v, ok := mcp.Member([]byte(`{"x":{"name":1},"n\u0061me":2}`), "name"); !ok || string(v) != "2" {
		t.Errorf("Member found %s", v)
	}
	for _, broken := range []string{"", "{", `{"a`, `{"a"`, `{"a":`, `{"a":[`, `{"a":"`, `{"a":x}`, `[`, `[1`, "[,", "nul", "]"} {
		mcp.Lookup([]byte(broken), "/a/0")
		mcp.Lookup([]byte(broken), "/0")
		mcp.Member([]byte(broken), "a")
	}
}

func TestWalk(t *testing.T) {
	const text = `{"a":[1,"x\u0041",{"b/~":true}],"":{},"c":[],"d":null}`
	var got []string
	err := mcp.Walk([]byte(text), func(l mcp.Leaf) error {
		if string(l.Lexeme()) != text[l.Start:l.End] {
			t.Errorf("offsets %d to %d are not those of %s", l.Start, l.End, l.Lexeme())
		}
		got = append(got, fmt.Sprintf("%d %s=%s", l.Kind, l.Pointer(), l.Value()))
		return nil
	})
	want := []string{"0 /a=a", "2 /a/0=1", "1 /a/1=xA", "0 /a/2/b~1~0=b/~", "3 /a/2/b~1~0=true", "0 /=", "0 /c=c", "0 /d=d", "4 /d=null"}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %q, %v\nwant %q", got, err, want)
	}
	stop := errors.New("stop")
	if err := mcp.Walk([]byte(text), func(mcp.Leaf) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("Walk = %v, want the error of visit", err)
	}
	for _, broken := range []string{"", " ", "{", "[1", "1 2", `{"a" 1}`, `{"a":1,}`, "[1,]", `"\ud800"`, "\"\xff\"", "nul", "{]", "01"} {
		if err := mcp.Walk([]byte(broken), func(mcp.Leaf) error { return nil }); !errors.Is(err, mcp.ErrNotJSON) {
			t.Errorf("Walk(%q) = %v", broken, err)
		}
	}
}

// Strings are read in words of eight bytes; every byte has to be judged alike
// at every place of a word.
func TestEveryByteAtEveryPlace(t *testing.T) {
	for pad := range 34 {
		for c := range 256 {
			for _, tail := range []string{"", "x", strings.Repeat("y", 20)} {
				text := []byte(`"` + strings.Repeat("a", pad) + string([]byte{byte(c)}) + tail + `"`)
				err := mcp.Walk(text, func(mcp.Leaf) error { return nil })
				if want := json.Valid(text) && utf8.Valid(text); (err == nil) != want {
					t.Fatalf("%q: %v, valid is %v", text, err, want)
				}
			}
		}
	}
}

func TestSameID(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"1", "1", true}, {`"a"`, `"\u0061"`, true}, {`"é"`, `"\u00e9"`, true},
		{"1", `"1"`, false}, {"1", "2", false}, {`"a"`, `"b"`, false}, {"", "", false}, {`"a`, `"a"`, false},
	} {
		if mcp.SameID([]byte(c.a), []byte(c.b)) != c.same || mcp.SameID([]byte(c.b), []byte(c.a)) != c.same {
			t.Errorf("SameID(%s, %s) is not %v", c.a, c.b, c.same)
		}
	}
}

func TestReplies(t *testing.T) {
	d := mcp.NewDecoder(mcp.Config{})
	for _, c := range []struct{ got, want string }{
		{string(mcp.AppendError(nil, []byte(`"\u0061"`), -31403, "no \"x\"\xff\n", []byte(`{"a":1}`))),
			`{"jsonrpc":"2.0","id":"\u0061","error":{"code":-31403,"message":"no \"x\"` + "\uFFFD" + `\n","data":{"a":1}}}`},
		{string(mcp.AppendError(nil, nil, -32700, "x", nil)), `{"jsonrpc":"2.0","error":{"code":-32700,"message":"x"}}`},
		{string(mcp.AppendResult(nil, []byte("7"), []byte(`{"a":1}`))), `{"jsonrpc":"2.0","id":7,"result":{"a":1}}`},
		{string(mcp.AppendResult(nil, []byte("7"), nil)), `{"jsonrpc":"2.0","id":7,"result":{}}`},
	} {
		if c.got != c.want {
			t.Errorf("got  %s\nwant %s", c.got, c.want)
		}
		if _, f := d.Decode(mcp.ToClient, []byte(c.got)); f != nil {
			t.Errorf("%s: %v", c.got, f)
		}
	}
}

func TestNormalURI(t *testing.T) {
	for _, c := range []struct{ uri, want string }{
		{"file:///a/./b/../c", "file:///a/c"},
		{"FILE:///a/%2E%2e/%63", "file:///c"},
		{"file:///a/..", "file:///"},
		{"file:///../../etc/passwd", "file:///etc/passwd"},
		{"file:///a%2fb", "file:///a%2Fb"},
		{"file:///a//b", "file:///a//b"},
		{"HTTP://User@EX%41mple.COM:80?q=%7E#f", "http://User@example.com/?q=~#f"},
		{"https://h:443", "https://h/"},
		{"https://h:8443/", "https://h:8443/"},
		{"http://[::1]:80/x", "http://[::1]/x"},
		{"test://static-text", "test://static-text"},
		{"urn:isbn:0-1", "urn:isbn:0-1"},
		{"note:a/../b", "note:a/../b"},
		{"demo://h/%E4%bd%a0", "demo://h/%E4%BD%A0"},
		{"", ""}, {"/etc/passwd", ""}, {"1a:b", ""}, {":b", ""}, {"a b:c", ""},
		{"file:///a b", ""}, {"file:///é", ""}, {"file:///a%00", ""}, {"file:///a%0a", ""}, {"file:///%", ""}, {"file:///%zz", ""},
		{"file:///{x}", ""}, {"file:///a\\b", ""}, {"http://h:8a/", ""}, {"http://a[b/", ""}, {"file:/.//h/x", ""},
	} {
		got, err := mcp.NormalURI(c.uri)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("NormalURI(%q) = %q, %v; want %q", c.uri, got, err, c.want)
		}
		if again, err := mcp.NormalURI(got); c.want != "" && (again != got || err != nil) {
			t.Errorf("NormalURI is not stable: %q, then %q, %v", got, again, err)
		}
	}
}
