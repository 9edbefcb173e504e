package app

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A file of recognisers lies beside the configuration, as every other file does,
// wherever the gateway was started.
func TestRecognisersAreFoundBesideTheConfiguration(t *testing.T) {
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	write(path, `
gateway: {authentication: {method: none}, authorization: {policy_engine: none}}
servers: [{name: crm, url: "http://127.0.0.1:39101/"}]
guards: {dlp: {recognisers: [own.yaml]}}
`)
	if err := Validate(path); err == nil || !strings.Contains(err.Error(), "own.yaml: no such file") {
		t.Errorf("without the file: %v", err)
	}
	write(filepath.Join(filepath.Dir(path), "own.yaml"),
		"recognisers: [{type: EMPLOYEE, class: pii, patterns: [{regex: 'EMP-[0-9]{6}', score: 0.9}], tests: {find: ['«EMP-123456»']}}]")
	if err := Validate(path); err != nil {
		t.Error(err)
	}
	d, err := Detector("pii", path, "")
	if err != nil {
		t.Fatal(err)
	}
	found, err := d([]byte(`{"id":1,"text":"badge EMP-123456"}`))
	if err != nil || !strings.Contains(fmt.Sprint(found), "EMPLOYEE") {
		t.Errorf("%v, %v", found, err)
	}
}
