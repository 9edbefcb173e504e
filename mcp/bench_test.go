package mcp_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/mcp"
)

// sizedCall is a tools/call of about size bytes, whose arguments are a long
// text, or a list of records when there is more to look at.
func sizedCall(size int, records bool) []byte {
	const word = "the quick brown fox, number 17, jumps over a lazy dog; "
	const record = `{"id":1234,"name":"Ada Lovelace","tags":["a","b"],"active":true,"score":17.25,"note":"first of her kind"},`
	value := `"` + strings.Repeat(word, size/len(word)) + `"`
	if records {
		value = "[" + strings.Repeat(record, size/len(record)) + "null]"
	}
	return []byte(`{"jsonrpc":"2.0","id":17,"method":"tools/call","params":{"name":"search_documents","arguments":{"query":` + value + `,"limit":10}}}`)
}

func BenchmarkDecode(b *testing.B) {
	d := mcp.NewDecoder(mcp.Config{})
	for _, c := range []struct {
		name string
		raw  []byte
	}{
		{"200B", sizedCall(100, false)},
		{"10KiB", sizedCall(10<<10, false)},
		{"100KiB", sizedCall(100<<10, false)},
		{"10KiB-records", sizedCall(10<<10, true)},
		{"100KiB-records", sizedCall(100<<10, true)},
		{"100KiB-unicode", []byte(arguments(`"` + strings.Repeat("文書を検索する é ", 100<<10/27) + `"`))},
		{"100KiB-keys", []byte(arguments(object(100<<10/11, `"last":1`)))},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.raw)))
			b.ReportAllocs()
			for b.Loop() {
				if m, f := d.Decode(mcp.ToServer, c.raw); f != nil || m.Name == "" {
					b.Fatal(f)
				}
			}
		})
	}
}

func BenchmarkClassify(b *testing.B) {
	m, f := mcp.NewDecoder(mcp.Config{}).Decode(mcp.ToServer, []byte(modernCall("tools/call", `"name":"x"`)))
	if f != nil {
		b.Fatal(f)
	}
	var h mcp.Headers = headers{modern, "Mcp-Method: tools/call", "Mcp-Name: x"}
	b.ReportAllocs()
	for b.Loop() {
		if _, f := mcp.Classify(h, &m, 0); f != nil {
			b.Fatal(f)
		}
	}
}

func BenchmarkWalk(b *testing.B) {
	for _, size := range []int{200, 10 << 10, 100 << 10} {
		raw := sizedCall(size, true)
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				n := 0
				if err := mcp.Walk(raw, func(l mcp.Leaf) error { n += len(l.Value()); return nil }); err != nil || n == 0 {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkApply(b *testing.B) {
	d := mcp.NewDecoder(mcp.Config{})
	m, _ := d.Decode(mcp.ToServer, sizedCall(10<<10, false))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Apply(&m, mcp.SetPointer("/params/arguments/limit", []byte("5"))); err != nil {
			b.Fatal(err)
		}
	}
}
