package mcp_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/mcp"
)

func TestApply(t *testing.T) {
	const call = "{ \"jsonrpc\":\"2.0\", \"id\":\"\\u0061\",\r\n \"method\":\"tools/call\",\"params\" : {\"name\":\"x\",\"arguments\":{\"a\":1.0e0 , \"b~/\":[\"\\u0041\",{}],\"c\":null}, \"_meta\":{}} }"
	at := strings.Index(call, `\u0041`)
	for _, c := range []struct {
		name     string
		edits    []mcp.Edit
		old, new string // what differs; an empty old means an error
	}{
		{"no edit", nil, "x", "x"},
		{"a value", []mcp.Edit{mcp.SetPointer("/params/arguments/a", []byte(`"é"`))}, `1.0e0`, `"é"`},
		{"an element of an array under an escaped key", []mcp.Edit{mcp.SetPointer("/params/arguments/b~0~1/0", []byte(`[]`))}, `"\u0041"`, `[]`},
		{"part of a string", []mcp.Edit{mcp.SetSpan(at, at+6, []byte("***"))}, `\u0041`, `***`},
		{"an insertion", []mcp.Edit{mcp.SetSpan(at, at, []byte("-"))}, `\u0041`, `-\u0041`},
		{"the tool", []mcp.Edit{mcp.SetPointer("/params/name", []byte(`"y"`))}, `"name":"x"`, `"name":"y"`},
		{"a new member", []mcp.Edit{mcp.SetPointer("/params/arguments/d~1", []byte(`0`))}, `null}`, `null,"d/":0}`},
		{"a new member of an empty object", []mcp.Edit{mcp.SetPointer("/params/_meta/traceparent", []byte(`"t"`))}, `{}} }`, `{"traceparent":"t"}} }`},
		{"two of them", []mcp.Edit{mcp.SetPointer("/params/_meta/p", []byte(`1`)), mcp.SetPointer("/params/_meta/q", []byte(`2`))}, `{}} }`, `{"p":1,"q":2}} }`},
		{"the first member goes", []mcp.Edit{mcp.RemoveMember("/params/arguments/a")}, `"a":1.0e0 , `, ``},
		{"a middle member goes", []mcp.Edit{mcp.RemoveMember("/params/arguments/b~0~1")}, ` , "b~/":["\u0041",{}]`, ``},
		{"the last member goes", []mcp.Edit{mcp.RemoveMember("/params/_meta")}, `, "_meta":{}`, ``},
		{"neighbours go", []mcp.Edit{mcp.RemoveMember("/params/arguments/a"), mcp.RemoveMember("/params/arguments/b~0~1")}, `"a":1.0e0 , "b~/":["\u0041",{}],`, ``},
		{"the last two go", []mcp.Edit{mcp.RemoveMember("/params/arguments/c"), mcp.RemoveMember("/params/arguments/b~0~1")}, ` , "b~/":["\u0041",{}],"c":null`, ``},
		{"all go", []mcp.Edit{mcp.RemoveMember("/params/arguments/b~0~1"), mcp.RemoveMember("/params/arguments/a"), mcp.RemoveMember("/params/arguments/c")}, `"a":1.0e0 , "b~/":["\u0041",{}],"c":null`, ``},
		{"all go and one comes", []mcp.Edit{mcp.SetPointer("/params/arguments/z", []byte(`1`)), mcp.RemoveMember("/params/arguments/b~0~1"), mcp.RemoveMember("/params/arguments/a"), mcp.RemoveMember("/params/arguments/c")}, `"a":1.0e0 , "b~/":["\u0041",{}],"c":null`, `"z":1`},
		{"one goes and one comes", []mcp.Edit{mcp.RemoveMember("/params/arguments/c"), mcp.SetPointer("/params/arguments/z", []byte(`1`))}, `,"c":null`, `,"z":1`},
		{"two places at once", []mcp.Edit{mcp.SetSpan(at, at+6, []byte("Q")), mcp.SetPointer("/params/arguments/a", []byte(`2`))}, `1.0e0 , "b~/":["\u0041"`, `2 , "b~/":["Q"`},

		{"the zero edit", []mcp.Edit{{}}, "", ""},
		{"overlapping edits", []mcp.Edit{mcp.SetPointer("/params/arguments", []byte(`{}`)), mcp.SetPointer("/params/arguments/a", []byte(`1`))}, "", ""},
		{"one value twice", []mcp.Edit{mcp.SetPointer("/params/arguments/a", []byte(`1`)), mcp.SetPointer("/params/arguments/a", []byte(`2`))}, "", ""},
		{"one member added twice", []mcp.Edit{mcp.SetPointer("/params/n", []byte(`1`)), mcp.SetPointer("/params/n", []byte(`2`))}, "", ""},
		{"a member removed twice", []mcp.Edit{mcp.RemoveMember("/params/arguments/a"), mcp.RemoveMember("/params/arguments/a")}, "", ""},
		{"a value that brings a second member", []mcp.Edit{mcp.SetPointer("/params/arguments/a", []byte(`1,"e":2`))}, "", ""},
		{"a value that is not JSON", []mcp.Edit{mcp.SetPointer("/params/arguments/a", []byte(`é`))}, "", ""},
		{"no value", []mcp.Edit{mcp.SetPointer("/params/arguments/a", nil)}, "", ""},
		{"a span that breaks the string", []mcp.Edit{mcp.SetSpan(at, at+6, []byte(`"`))}, "", ""},
		{"a span that makes a duplicate", []mcp.Edit{mcp.SetSpan(strings.Index(call, `"c"`), strings.Index(call, `"c"`)+3, []byte(`"a"`))}, "", ""},
		{"a span outside", []mcp.Edit{mcp.SetSpan(0, len(call)+1, nil)}, "", ""},
		{"a span backwards", []mcp.Edit{mcp.SetSpan(5, 4, nil)}, "", ""},
		{"an object that is not there", []mcp.Edit{mcp.SetPointer("/params/x/y", []byte(`1`))}, "", ""},
		{"an element that is not there", []mcp.Edit{mcp.SetPointer("/params/arguments/b~0~1/2", []byte(`1`))}, "", ""},
		{"a member to remove that is not there", []mcp.Edit{mcp.RemoveMember("/params/x")}, "", ""},
		{"an element to remove", []mcp.Edit{mcp.RemoveMember("/params/arguments/b~0~1/0")}, "", ""},
		{"the whole message removed", []mcp.Edit{mcp.RemoveMember("")}, "", ""},
		{"a bad escape in a pointer", []mcp.Edit{mcp.SetPointer("/params/~2", []byte(`1`))}, "", ""},
		{"a new member whose name is not UTF-8", []mcp.Edit{mcp.SetPointer("/params/\xff", []byte(`1`))}, "", ""},
		{"another id", []mcp.Edit{mcp.SetPointer("/id", []byte(`"b"`))}, "", ""},
		{"the same id in other bytes", []mcp.Edit{mcp.SetPointer("/id", []byte(`"a"`))}, "", ""},
		{"no id", []mcp.Edit{mcp.RemoveMember("/id")}, "", ""},
		{"another method", []mcp.Edit{mcp.SetPointer("/method", []byte(`"prompts/get"`))}, "", ""},
		{"another kind", []mcp.Edit{mcp.SetPointer("", []byte(`{"jsonrpc":"2.0","id":"a","result":{}}`))}, "", ""},
		{"a name that may not be", []mcp.Edit{mcp.SetPointer("/params/name", []byte(`"\u0000"`))}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := mcp.NewDecoder(mcp.Config{})
			m, f := d.Decode(mcp.ToServer, []byte(call))
			if f != nil {
				t.Fatal(f)
			}
			got, err := d.Apply(&m, c.edits...)
			switch {
			case string(m.Raw) != call:
				t.Error("the original changed")
			case c.old == "" && err == nil:
				t.Errorf("made %s", got.Raw)
			case c.old == "":
			case err != nil:
				t.Error(err)
			case string(got.Raw) != strings.Replace(call, c.old, c.new, 1) || strings.Count(call, c.old) != 1 && c.old != "x":
				t.Errorf("got  %s\nwant %s", got.Raw, strings.Replace(call, c.old, c.new, 1))
			}
		})
	}
}

func TestCloneSharesNothing(t *testing.T) {
	d := mcp.NewDecoder(mcp.Config{})
	for _, raw := range []string{
		modernCall("tools/call", `"name":"x","arguments":{}`),
		`{` + head + `"result":{"a":"b"}}`,
		`{` + head + `"error":{"code":1,"message":"b"}}`,
	} {
		buf := []byte(raw)
		m, f := d.Decode(mcp.ToServer, buf)
		if f != nil {
			t.Fatal(f)
		}
		text := func(m *mcp.Message) string {
			return strings.Join([]string{string(m.ID), m.Method, m.Name, string(m.Params), string(m.Result),
				string(m.Error), string(m.Raw), string(m.Meta())}, "|")
		}
		want := text(&m)
		c := m.Clone()
		for i := range buf {
			buf[i] = 'X'
		}
		if got := text(c); got != want {
			t.Errorf("after poisoning\n%s\nwant\n%s", got, want)
		}
		for i := range c.Raw {
			c.Raw[i] = 'Y'
		}
		if strings.Contains(string(c.ID)+string(c.Params)+string(c.Result)+string(c.Error), "Y") {
			t.Error("parts of the clone share memory with its Raw")
		}
	}
	if (*mcp.Message)(nil).Clone() != nil {
		t.Error("clone of nil")
	}
}

func TestSlicesCannotReachTheirNeighbours(t *testing.T) {
	raw := []byte(`{` + head + `"method":"ping","params":{}}`)
	m, _ := mcp.NewDecoder(mcp.Config{}).Decode(mcp.ToServer, raw)
	_ = append(m.ID, "XXXX"...)
	_ = append(m.Params, "XXXX"...)
	if strings.Contains(string(raw), "X") {
		t.Errorf("appending to a part wrote into the message: %s", raw)
	}
}
