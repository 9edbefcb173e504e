package testenv

import (
	"os"
	"path/filepath"
	"testing"
)

// Texts returns the files that match patterns, by path: what tests hold against the code.
func Texts(t testing.TB, patterns ...string) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			out[path] = string(b)
		}
	}
	return out
}
