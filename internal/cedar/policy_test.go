package cedar

import (
	"context"
	"io/fs"
	"testing"

	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/policies"
)

// defaults are the files of the default bundle.
func defaults(t testing.TB) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := fs.WalkDir(policies.Cedar(), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && IsPart(path) {
			files[path], err = fs.ReadFile(policies.Cedar(), path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func policyOf(t testing.TB, s Settings, files map[string][]byte) *Policy {
	t.Helper()
	p, err := New(&Bundle{Version: "1.0.0", Files: files}, s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTheDefaultBundleIsTaken(t *testing.T) {
	p := policyOf(t, Settings{}, defaults(t))
	_ = context.Background()
	_ = policy.Access
	t.Log(p.Revision())
}
