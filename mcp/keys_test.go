package mcp

import "testing"

// mcp-go reads the blocks of a result with case-folding structs: it hands over
// the Text where everybody else, and every guard, reads the text.
func TestAKeyBelowTheResultThatFoldsToAKnownOneIsRefused(t *testing.T) {
	d := NewDecoder(Config{})
	for _, tt := range []struct {
		name, result string
		refused      bool
	}{
		{"Text beside text in a block", `{"content":[{"type":"text","text":"a","Text":"b"}]}`, true},
		{"TYPE alone in a block", `{"content":[{"TYPE":"text","text":"a"}]}`, true},
		{"in the second block", `{"content":[{"type":"text","text":"a"},{"type":"text","text":"a","teXt":"b"}]}`, true},
		{"an escaped key", `{"content":[{"type":"text","text":"a","\u0054ext":"b"}]}`, true},
		{"a long s in annotations", "{\"content\":[{\"type\":\"text\",\"text\":\"a\",\"annotation\u017f\":{}}]}", true},
		{"in an embedded resource", `{"content":[{"type":"resource","resource":{"uri":"a:b","URI":"c:d","text":""}}]}`, true},
		{"in a block within a block", `{"messages":[{"role":"user","content":{"type":"text","text":"a","Text":"b"}}]}`, true},
		{"Name of a tool", `{"tools":[{"name":"safe","Name":"danger","inputSchema":{}}]}`, true},
		{"a hint of a tool", `{"tools":[{"name":"a","annotations":{"readOnlyHint":true,"readonlyhint":false}}]}`, true},
		{"Uri of a resource", `{"resources":[{"uri":"a:b","Uri":"c:d","name":"n"}]}`, true},
		{"Text of contents", `{"contents":[{"uri":"a:b","text":"a","Text":"b"}]}`, true},
		{"an argument of a prompt", `{"prompts":[{"name":"p","arguments":[{"name":"a","Name":"b"}]}]}`, true},
		{"method of a nested request", `{"inputRequests":{"k":{"method":"roots/list","Method":"elicitation/create"}}}`, true},
		{"params of a nested request", `{"inputRequests":{"k":{"method":"elicitation/create","params":{"url":"a","URL":"b"}}}}`, true},

		{"an ordinary block", `{"content":[{"type":"text","text":"a","_meta":{"Text":1}}]}`, false},
		{"the application's own content", `{"structuredContent":{"Text":1,"text":2},"content":[]}`, false},
		{"a form that a person filled in", `{"action":"accept","content":{"Name":"Ana","Type":"x"}}`, false},
		{"the key of a nested request", `{"inputRequests":{"Method":{"method":"roots/list"}}}`, false},
		{"properties of a schema", `{"tools":[{"name":"a","inputSchema":{"type":"object","properties":{"Name":{},"name":{}}}}]}`, false},
		{"arguments of the model", `{"content":[{"type":"tool_use","name":"t","input":{"Name":1}}]}`, false},
	} {
		raw := []byte(`{"jsonrpc":"2.0","id":1,"result":` + tt.result + `}`)
		if _, f := d.Decode(ToClient, raw); (f != nil) != tt.refused {
			t.Errorf("%s: fault %v", tt.name, f)
		}
	}
}

func TestKeysOfNestedPartsAreFoldedInRequestsOfAServerToo(t *testing.T) {
	raw := []byte(`{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{"messages":[{"role":"user","Role":"assistant","content":{}}]}}`)
	if _, f := NewDecoder(Config{}).Decode(ToClient, raw); f == nil {
		t.Error("two roles for one message passed")
	}
}
