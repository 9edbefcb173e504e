package segment

import (
	"context"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
	"github.com/sallyport/sallyport/segment"
)

// Provenance is the member of _meta in which clients are told. A server's own is
// taken out: only the gateway speaks there.
const Provenance = "sallyport.dev/provenance"

// Settings are the user's "guards.provenance" section.
type Settings struct {
	Annotate bool `yaml:"annotate" doc:"Say in the _meta of results and requests to the client what was verified and what was not"`
}

// Told presents the guard that tells clients.
func Told(p Ports) guard.Spec {
	return guard.Define("provenance", "Tells clients whose words they read, and takes out what servers say of that themselves.", Settings{Annotate: true},
		func(c Settings) (guard.Guard, error) {
			if !p.On {
				return nil, nil
			}
			return &teller{c}, nil
		}, replies()...)
}

type teller struct{ Settings }

// RequestsOnly: what is not seen is not told; guards.segment says that it needs it.
func (g *teller) RequestsOnly() error { return nil }

// Inspect is asked when nobody will edit the message any more.
func (g *teller) Inspect(_ context.Context, x *guard.Exchange, m *mcp.Message) (guard.Verdict, error) {
	v := guard.Pass()
	at, part := "/result", m.Result
	if m.Kind != mcp.Response {
		at, part = "/params", m.Params
	}
	if part == nil {
		return v, nil
	}
	meta, has := mcp.Member(part, "_meta")
	object := has && len(meta) > 0 && meta[0] == '{'
	forged := false
	if object {
		_, forged = mcp.Member(meta, Provenance)
	}
	list, _ := found.Get(x)
	said, edited := told(m, list)
	if edited {
		v.Obligations = append(v.Obligations, guard.Obligation{Kind: guard.AddLabel, Name: "segment_edited"})
	}
	switch {
	case said == nil || !g.Annotate:
		if forged {
			v.Edits = append(v.Edits, mcp.RemoveMember(at+"/_meta/"+token(Provenance)))
			v.Detail = "the server spoke of provenance itself"
		}
	case object:
		v.Edits = append(v.Edits, mcp.SetPointer(at+"/_meta/"+token(Provenance), said))
	default:
		v.Edits = append(v.Edits, mcp.SetPointer(at+"/_meta", append(append([]byte(`{"`+Provenance+`":`), said...), '}')))
	}
	return v, nil
}

// told is the value of the member, or nil where there is nothing to tell. A
// verified place that is not what was verified any more is told as edited.
func told(m *mcp.Message, list []finding) (said []byte, edited bool) {
	for i := range list {
		f := &list[i]
		raw, ok := mcp.Lookup(m.Raw, f.pointer)
		if !ok {
			continue // a guard took it out
		}
		word := [...]string{unsigned: "unverified", invalid: "invalid", verified: "verified"}[f.status]
		if f.status == verified {
			if now, err := segment.Digest(f.about, raw); err != nil || now != f.digest {
				word, edited = "edited", true
			}
		}
		if said == nil {
			said = []byte(`{"segments":[`)
		} else {
			said = append(said, ',')
		}
		said = mcp.AppendQuote(append(said, `{"at":`...), f.pointer)
		said = mcp.AppendQuote(append(said, `,"status":`...), word)
		if f.by != "" {
			said = mcp.AppendQuote(append(said, `,"by":`...), f.by)
		}
		said = append(said, '}')
	}
	if said != nil {
		said = append(said, "]}"...)
	}
	return said, edited
}
