package main

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
)

func TestSegmentsAreSignedAndVerified(t *testing.T) {
	der, err := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	key := write(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	code, set, words := say("segment", "keys", key)
	if code != 0 || strings.Contains(set, `"d"`) {
		t.Fatalf("%d %s %s", code, set, words)
	}
	keys := write(t, "keys.jwks", set)
	prompt := write(t, "prompt.json", `{"messages":[{"role":"user","content":{"type":"text","text":"Sort."}}],"_meta":{"a":1}}`)
	code, signed, words := say("segment", "sign", "--key", key, "--server", "crm", "--name", "triage", prompt)
	if code != 0 || !strings.Contains(signed, `"_meta":{"a":1,"sallyport.dev/segment":{`) {
		t.Fatalf("%d %s %s", code, signed, words)
	}
	for name, c := range map[string]struct {
		text string
		args []string
		code int
	}{
		"as it was signed":      {signed, []string{"--server", "crm", "--name", "triage"}, 0},
		"altered":               {strings.Replace(signed, "Sort", "Delete", 1), []string{"--server", "crm", "--name", "triage"}, 1},
		"of another server":     {signed, []string{"--server", "erp", "--name", "triage"}, 1},
		"under another name":    {signed, []string{"--server", "crm", "--name", "close"}, 1},
		"unsigned":              {`{"messages":[]}`, []string{"--server", "crm", "--name", "triage"}, 1},
		"a member twice":        {`{"messages":[],"messages":[]}`, []string{"--server", "crm", "--name", "triage"}, 1},
		"without a server":      {signed, nil, 2},
		"of an unknown method":  {signed, []string{"--server", "crm", "--method", "tools/list"}, 1},
		"signed as a whole one": {signed, []string{"--server", "crm", "--name", "triage", "--block"}, 1},
	} {
		if code, out, words := say(append(append([]string{"segment", "verify", "--keys", keys}, c.args...), write(t, "s.json", c.text))...); code != c.code {
			t.Errorf("%s: %d %s %s", name, code, out, words)
		}
	}
}
