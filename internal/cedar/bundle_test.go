package cedar

import (
	"context"
	"testing"
)

func TestTheDefaultBundlesOwnTests(t *testing.T) {
	r, err := Test(context.Background(), &Bundle{Version: "1.0.0", Files: defaults(t)})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Failed {
		t.Errorf("%s: want %s, got %+v", f.Name, f.Want, f.Got)
	}
	t.Logf("%d passed; not used: %v", r.Passed, r.Unused)
}
