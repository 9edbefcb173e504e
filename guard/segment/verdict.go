package segment

import (
	"strings"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
	"github.com/sallyport/sallyport/segment"
)

// verdict labels the exchange, and refuses where that is asked for.
func (g *verifier) verdict(x *guard.Exchange, m *mcp.Message, list []finding, governed bool) guard.Verdict {
	v := guard.Pass()
	if len(list) == 0 {
		return v
	}
	var count [3]int
	var detail []string
	must := false
	for i := range list {
		f := &list[i]
		count[f.status]++
		if i < 8 {
			detail = append(detail, f.pointer+" "+f.describe())
		}
		if f.status == unsigned && f.about.Part == segment.Whole && governed {
			must = must || g.Unverified == "refuse" && spoken(f.about.Method) && g.hasSigner(&x.Server) || g.required(x.Server.Name, &f.about, f.late)
		}
	}
	v.Detail = strings.Join(detail, "; ")
	label := func(name string) {
		v.Obligations = append(v.Obligations, guard.Obligation{Kind: guard.AddLabel, Name: name})
	}
	switch {
	case count[invalid] > 0:
		label("segment_invalid")
		v.Obligations = append(v.Obligations, guard.Obligation{Kind: guard.Raise, Name: string(Invalid), Value: v.Detail})
	case count[unsigned] > 0:
		label("segment_unverified")
	default:
		label("segment_verified")
	}
	reason := guard.Reason("")
	switch {
	case count[invalid] > 0 && (g.Invalid == "refuse" || g.mustBeVerified(x, list)):
		reason = Invalid
	case must:
		reason = Unverified
	}
	if reason == "" {
		return v
	}
	if list[0].about.Method == "initialize" {
		// Without its instructions a server can be used; without its answer it cannot.
		v.Edits = []mcp.Edit{mcp.RemoveMember("/result/instructions")}
		found.Set(x, nil)
		return v
	}
	v.Action, v.Reason = guard.Deny, reason
	v.Result = m.Kind == mcp.Response && x.Asked.Method == "tools/call"
	return v
}

// mustBeVerified reports whether an invalid signature is one too few.
func (g *verifier) mustBeVerified(x *guard.Exchange, list []finding) bool {
	for i := range list {
		if a := &list[i].about; list[i].status == invalid && (g.required(x.Server.Name, a, list[i].late) || g.Unverified == "refuse" && spoken(a.Method)) {
			return true
		}
	}
	return false
}

func (f *finding) describe() string {
	switch f.status {
	case verified:
		return "is signed by " + f.by
	case invalid:
		return "is invalid: " + f.why
	}
	if f.why != "" {
		return "is unverified: " + f.why
	}
	return "is unsigned"
}
