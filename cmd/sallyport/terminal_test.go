package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// The name of a tool clears the screen, or shows a refusal as something else.
func TestWordsOfCallersDoNotSteerTheTerminal(t *testing.T) {
	const name = "find\u009b2J\x7f\u202edeined\u2066ü\U0001f512"
	line, err := json.Marshal(map[string]string{"name": name})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if n, err := (shown{&out}).Write(append(line, '\n')); n != len(line)+1 || err != nil {
		t.Error(n, err)
	}
	text := out.String()
	if strings.ContainsAny(strings.TrimSuffix(text, "\n"), "\u009b\x7f\u202e\u2066\n") || !strings.Contains(text, "ü\U0001f512") {
		t.Errorf("%q", text)
	}
	var got map[string]string
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got["name"] != name {
		t.Errorf("it says something else: %q, %v", got, err)
	}
	if got := string(escaped([]byte("a\xff\x1b[2J\n"))); got != "a?\\u001b[2J\n" {
		t.Errorf("%q", got)
	}
}

func TestAFileGetsReceiptsByteForByte(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if legible(f) != f {
		t.Error("a file is taken for a terminal")
	}
	var b bytes.Buffer
	if legible(&b) != &b {
		t.Error("a buffer is taken for a terminal")
	}
}
