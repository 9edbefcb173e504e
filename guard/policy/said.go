package policy

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/guard"
)

// Said is what a policy said about one message, read from the guard's entry in
// the journal.
type Said struct {
	Allow  bool
	Step   string       // that refused; "call" for a yes
	Reason guard.Reason // of a no, also where the caller was told another one
}

// Read reads an entry. It reports false where the policy said nothing: it reached
// no answer, or the guard refused for itself.
func Read(a guard.Action, r guard.Reason, detail string) (Said, bool) {
	if a == guard.Allow {
		return Said{Allow: true, Step: Call.String()}, true
	}
	if r == ApprovalRequired {
		return Said{Step: Call.String(), Reason: r}, true
	}
	if hidden, _, ok := strings.Cut(detail, " in "+Access.String()+": "); ok && !strings.Contains(hidden, " ") {
		return Said{Step: Access.String(), Reason: guard.Reason(hidden)}, true
	}
	steps := []Step{Access, Call}
	if i := slices.IndexFunc(steps, func(s Step) bool { return strings.HasPrefix(detail, s.String()+": ") }); i >= 0 {
		return Said{Step: steps[i].String(), Reason: r}, true
	}
	return Said{}, false
}
