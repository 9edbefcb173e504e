package opa

import (
	"context"

	"github.com/sallyport/sallyport/guard/policy"
)

// Examine decides anew, whatever is cached, and names the members of the input
// that the answer came from: with another value of any other member it would be
// the same. After an error they are all that could have been read.
func (p *Policy) Examine(ctx context.Context, s policy.Step, in *policy.Input) (*policy.Decision, []string, error) {
	st := p.access
	if s == policy.Call {
		if st = p.call; st == nil {
			return allowed, nil, nil
		}
	}
	d, read, err := p.evaluate(ctx, st, in)
	if err != nil {
		read = st.reads.members
	}
	var names []string
	for m := range members {
		if st.reads.whole || read&(1<<m) != 0 {
			names = append(names, memberNames[m])
		}
	}
	return d, names, err
}
