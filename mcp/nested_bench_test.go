package mcp

import (
	"strconv"
	"strings"
	"testing"
)

// BenchmarkDecodeNested is the price of looking at the keys below a result.
func BenchmarkDecodeNested(b *testing.B) {
	var tools []string
	for i := range 100 {
		tools = append(tools, `{"name":"tool_`+strconv.Itoa(i)+`","title":"Tool","description":"Does a thing, and says so.","inputSchema":{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"number"}},"required":["a"]},"annotations":{"readOnlyHint":true}}`)
	}
	for name, result := range map[string]string{
		"text":  `{"content":[{"type":"text","text":"` + strings.Repeat("x", 200) + `"}]}`,
		"tools": `{"tools":[` + strings.Join(tools, ",") + `]}`,
	} {
		raw := []byte(`{"jsonrpc":"2.0","id":1,"result":` + result + `}`)
		b.Run(name, func(b *testing.B) {
			d := NewDecoder(Config{})
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				if _, f := d.Decode(ToClient, raw); f != nil {
					b.Fatal(f)
				}
			}
		})
	}
}
