package oauth

import (
	"slices"
	"strings"
	"testing"
)

// Worked checks that a client did its task, whose calls need one step-up: that
// it asked the provider twice, for this server, with PKCE, and the second time
// for all scopes at once. A client whose scopes are settled asks once, for all.
func (c Client) Worked(t testing.TB, task Task, done Done) {
	t.Helper()
	if len(done.Steps) != 1+len(task.Calls) || len(done.Steps.Failed()) > 0 {
		t.Errorf("it did not do what it was told:\n%s", done.Steps)
	}
	if task.Grant != Code {
		return
	}
	wanted := [][]string{{Read}, {Read, Write}}
	settled := slices.Contains(c.Settled, Code)
	if settled {
		wanted = wanted[1:]
	}
	if len(done.Asked) != len(wanted) {
		t.Fatalf("the provider was asked %d times: %v", len(done.Asked), done.Asked)
	}
	for i, want := range wanted {
		q := done.Asked[i]
		if q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "" || q.Get("resource") != task.URL {
			t.Errorf("request %d: %v", i, q)
		}
		for _, scope := range want {
			if !strings.Contains(" "+q.Get("scope")+" ", " "+scope+" ") {
				t.Errorf("request %d asks for %q, not for %s", i, q.Get("scope"), scope)
			}
		}
	}
	if !settled && strings.Contains(done.Asked[0].Get("scope"), Write) {
		t.Error("the first request asked for more than the challenge named")
	}
}
