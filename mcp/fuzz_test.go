package mcp_test

import (
	"bytes"
	"testing"

	"github.com/sallyport/sallyport/mcp"
)

func FuzzDecode(f *testing.F) {
	for _, c := range refused {
		if len(c.raw) < 1<<12 {
			f.Add([]byte(c.raw), false)
		}
	}
	f.Add([]byte(modernCall("tools/call", `"name":"x","arguments":{"a":[1,"\ud83d\ude00"]}`)), false)
	f.Add([]byte(`{`+head+`"result":{"content":[{"type":"text","text":"x"}],"_meta":{}}}`), true)
	f.Add([]byte(`{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":"x"}}`), true)
	d := mcp.NewDecoder(mcp.Config{})
	f.Fuzz(func(t *testing.T, raw []byte, toClient bool) {
		dir := mcp.ToServer
		if toClient {
			dir = mcp.ToClient
		}
		kept := bytes.Clone(raw)
		m, fault := d.Decode(dir, raw)
		if !bytes.Equal(raw, kept) {
			t.Fatal("Decode wrote into the message")
		}
		if fault != nil {
			if fault.Code == mcp.CodeParse {
				if _, err := reference(raw); err == nil {
					t.Fatalf("encoding/json reads %q, we say %v", raw, fault)
				}
			}
			if fault.Error() == "" || fault.Reason == "" || fault.ID != nil && !bytes.Contains(raw, fault.ID) {
				t.Fatalf("%+v", fault)
			}
			return
		}
		checkAgainstReference(t, &m)
		for _, r := range mcp.Revisions() {
			_ = d.CheckMethod(&m, r)
			_, _ = mcp.Classify(headers{vHeader + r.String(), "Mcp-Method: " + m.Method}, &m, r)
		}
		again, err := d.Apply(&m)
		if err != nil || !bytes.Equal(again.Raw, raw) {
			t.Fatalf("no edits made %q of %q, %v", again.Raw, raw, err)
		}
	})
}

func FuzzApply(f *testing.F) {
	raw := []byte(modernCall("tools/call", `"name":"x","arguments":{"a":{"b":[1,2,{"c":null}]},"d":"e"}`))
	f.Add(raw, "/params/arguments/a/b/1", []byte(`"x"`), "/params/arguments/d", 30, 31, []byte("y"))
	f.Add(raw, "/params/new", []byte(`{}`), "/params/_meta", 0, 0, []byte(""))
	f.Add(raw, "/params/arguments/a~1b", []byte(`1,"x":1`), "/params/arguments/a", 70, 75, []byte("\""))
	d := mcp.NewDecoder(mcp.Config{})
	f.Fuzz(func(t *testing.T, raw []byte, set string, value []byte, remove string, start, end int, text []byte) {
		m, fault := d.Decode(mcp.ToServer, raw)
		if fault != nil {
			return
		}
		kept := bytes.Clone(raw)
		for _, edits := range [][]mcp.Edit{
			{mcp.SetPointer(set, value)},
			{mcp.RemoveMember(remove)},
			{mcp.SetSpan(start, end, text)},
			{mcp.SetPointer(set, value), mcp.RemoveMember(remove), mcp.SetSpan(start, end, text)},
		} {
			got, err := d.Apply(&m, edits...)
			if !bytes.Equal(raw, kept) {
				t.Fatal("Apply wrote into the original")
			}
			if err != nil {
				continue
			}
			if got.Kind != m.Kind || got.Method != m.Method || !bytes.Equal(got.ID, m.ID) {
				t.Fatalf("%q became %q", raw, got.Raw)
			}
			checkAgainstReference(t, &got)
		}
		if got, err := d.Apply(&m, mcp.SetPointer(set, value)); err == nil {
			v, ok := mcp.Lookup(got.Raw, set)
			if !ok || !bytes.Equal(v, bytes.TrimSpace(value)) {
				t.Fatalf("set %q to %q in %q: got %q", set, value, raw, v)
			}
		}
		if got, err := d.Apply(&m, mcp.RemoveMember(remove)); err == nil {
			if v, ok := mcp.Lookup(got.Raw, remove); ok {
				t.Fatalf("removed %q from %q: still %q", remove, raw, v)
			}
		}
		if got, err := d.Apply(&m, mcp.SetSpan(start, end, text)); err == nil {
			if !bytes.HasPrefix(got.Raw, raw[:start]) || !bytes.HasSuffix(got.Raw, raw[end:]) {
				t.Fatalf("bytes outside %d to %d of %q changed: %q", start, end, raw, got.Raw)
			}
		}
	})
}
