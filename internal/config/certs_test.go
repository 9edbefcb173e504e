package config_test

import (
	"os"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

// certificates writes ca.pem, ca.key, client.pem and client.key to dir.
func certificates(t testing.TB, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	ca := testenv.NewAuthority(t)
	ca.Write(t, dir, "ca")
	ca.Issue(t, time.Hour, "client").Write(t, dir, "client")
}
