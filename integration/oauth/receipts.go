package oauth

import (
	"bytes"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

var receiptsPath = regexp.MustCompile(`path: "([^"]+)"`)

// Receipts returns what the gateway wrote down, once it holds what is wanted.
func Receipts(t testing.TB, g *testenv.Gateway, want string) string {
	t.Helper()
	b, err := os.ReadFile(g.Config)
	if err != nil {
		t.Fatal(err)
	}
	path := receiptsPath.FindSubmatch(b)[1]
	var text []byte
	testenv.Eventually(t, time.Minute, "a receipt with "+want, func() bool {
		text, err = os.ReadFile(string(path))
		return err == nil && bytes.Contains(text, []byte(want))
	})
	return string(text)
}
