package testenv

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

var receiptsPath = regexp.MustCompile(`receipts: *\{path: *"?([^",}]+)`)

// Receipts returns the receipts that a gateway has written so far to the file of its
// configuration's receipts.path.
func (g *Gateway) Receipts(t testing.TB) string {
	t.Helper()
	config, err := os.ReadFile(g.Config)
	if err != nil {
		t.Fatal(err)
	}
	path := receiptsPath.FindSubmatch(config)
	if path == nil {
		t.Fatalf("%s has no receipts.path", g.Config)
	}
	b, err := os.ReadFile(string(path[1]))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// ReceiptsWith is Receipts once one of them holds want.
func (g *Gateway) ReceiptsWith(t testing.TB, want string) (text string) {
	t.Helper()
	Eventually(t, time.Minute, "a receipt with "+want, func() bool {
		text = g.Receipts(t)
		return strings.Contains(text, want)
	})
	return text
}
