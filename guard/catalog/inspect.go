package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/inspect/definition"
	"github.com/sallyport/sallyport/mcp"
)

// list is what a result defines.
type list struct {
	kind   definition.Kind
	member string
}

func listOf(method string) (list, bool) {
	switch method {
	case "tools/list":
		return list{definition.Tool, "tools"}, true
	case "prompts/list":
		return list{definition.Prompt, "prompts"}, true
	case "resources/list":
		return list{definition.Resource, "resources"}, true
	case "resources/templates/list":
		return list{definition.Template, "resourceTemplates"}, true
	case "initialize", "server/discover":
		return list{definition.Instructions, "instructions"}, true
	}
	return list{}, false
}

// Inspect refuses what is held, and takes it out of lists.
func (g *catalog) Inspect(_ context.Context, x *guard.Exchange, m *mcp.Message) (guard.Verdict, error) {
	if m.Direction == mcp.ToServer {
		return g.use(x, m), nil
	}
	if kinds := announced(m.Method); kinds != nil {
		return g.announce(x, kinds), nil
	}
	if l, ok := listOf(x.Topic(m)); ok && m.Kind == mcp.Response {
		return g.list(x, m, l)
	}
	return guard.Pass(), nil
}

// use judges a request that uses something.
func (g *catalog) use(x *guard.Exchange, m *mcp.Message) guard.Verdict {
	kind, name := subject(m)
	if kind == 0 {
		return guard.Pass()
	}
	s := g.book.Standing(x.Server.Name, kind, name)
	switch {
	case s.State == Held:
		return guard.Refuse(guard.UnknownTarget, "the "+kind.String()+" is held: "+s.Why)
	case s.State == Unknown && kind == definition.Tool && folded(x.Server.Tools, name) != "":
		// A server that ignores case would do what the registry says of that tool.
		return guard.Refuse(guard.UnknownTarget, fmt.Sprintf("the registry knows %q, which differs by case only, and no list has shown this tool", folded(x.Server.Tools, name)))
	case s.State == Unknown && s.Like != "":
		return guard.Refuse(guard.UnknownTarget, fmt.Sprintf("the server lists %q, which differs by case only", s.Like))
	case s.Stale && g.wait:
		return guard.Refuse(Stale, "the server has announced other definitions, which nobody has listed")
	case s.State == Unknown && g.refuse && (kind == definition.Tool || kind == definition.Prompt):
		return guard.Refuse(guard.UnknownTarget, "no list of the server has shown this "+kind.String())
	}
	return guard.Pass()
}

// folded returns the tool of the registry that name is but for its case.
func folded(tools map[string]guard.Tool, name string) string {
	if _, exact := tools[name]; exact {
		return ""
	}
	for known := range tools {
		if strings.EqualFold(known, name) {
			return known
		}
	}
	return ""
}

// announced are the kinds of definitions that a notification says have changed.
func announced(method string) []definition.Kind {
	switch method {
	case "notifications/tools/list_changed":
		return []definition.Kind{definition.Tool}
	case "notifications/prompts/list_changed":
		return []definition.Kind{definition.Prompt}
	case "notifications/resources/list_changed":
		return []definition.Kind{definition.Resource, definition.Template}
	}
	return nil
}

// announce notes what a server announces. One that does so all the time is told
// of once until it is asked.
func (g *catalog) announce(x *guard.Exchange, kinds []definition.Kind) guard.Verdict {
	v := guard.Pass()
	for _, k := range kinds {
		if g.book.Announced(x.Server.Name, k) && v.Obligations == nil {
			v.Obligations = []guard.Obligation{{Kind: guard.Raise, Name: "definitions_announced", Value: "other definitions of the kind " + k.String() + " of " + x.Server.Name}}
		}
	}
	return v
}

// subject returns what a request uses.
func subject(m *mcp.Message) (definition.Kind, string) {
	switch m.Method {
	case "tools/call":
		return definition.Tool, m.Name
	case "prompts/get":
		return definition.Prompt, m.Name
	case "resources/read", "resources/subscribe":
		return definition.Resource, normal(m.Name)
	case "completion/complete":
		if kind, ok := mcp.Lookup(m.Params, "/ref/type"); ok && string(kind) == `"ref/prompt"` {
			return definition.Prompt, m.Name
		}
		return definition.Template, m.Name
	}
	return 0, ""
}

// normal is the form of a URI in which two of the same resource are equal.
func normal(uri string) string {
	if n, err := mcp.NormalURI(uri); err == nil {
		return n
	}
	return uri
}

// list judges what a server defines.
func (g *catalog) list(x *guard.Exchange, m *mcp.Message, l list) (guard.Verdict, error) {
	raw, ok := mcp.Member(m.Result, l.member)
	if !ok || len(raw) == 0 {
		return guard.Pass(), nil
	}
	var defs []definition.Definition
	if l.kind == definition.Instructions {
		defs = append(defs, definition.Definition{Kind: l.kind, Raw: raw})
	} else {
		for one := range mcp.Elements(raw) {
			name, ok := definition.Name(l.kind, one)
			if !ok {
				return guard.Refuse(guard.UpstreamBadReply, "an entry of /result/"+l.member+" has no name"), nil
			}
			if l.kind == definition.Resource {
				name = normal(name)
			}
			defs = append(defs, definition.Definition{Kind: l.kind, Name: name, Raw: one})
		}
	}
	if len(defs) == 0 {
		return guard.Pass(), nil
	}
	if known, all := g.book.Known(x.Server.Name, defs); all {
		return shown(l, defs, known), nil
	}
	server := x.Server.Name
	return guard.Verdict{Pending: func(ctx context.Context) (guard.Verdict, error) {
		seen, err := g.book.See(ctx, server, defs)
		if err != nil {
			return guard.Verdict{}, fmt.Errorf("catalog: inspect: %w", err)
		}
		return shown(l, defs, seen), nil
	}}, nil
}

// maxEvents is how many events one list raises: a server whose every definition
// is new each time must not fill logs and receipts.
const maxEvents = 32

// shown takes what is held out of a list.
func shown(l list, defs []definition.Definition, standings []Standing) guard.Verdict {
	v := guard.Pass()
	held := make(map[string]bool)
	var why []string
	told, untold := 0, 0
	for i, s := range standings {
		if s.State == Held {
			held[defs[i].Name] = true
			why = append(why, strings.TrimSpace(defs[i].Name+": "+s.Why))
		}
		for _, e := range s.Events {
			if told == maxEvents {
				untold++
				continue
			}
			told++
			v.Obligations = append(v.Obligations, guard.Obligation{Kind: guard.Raise, Name: e.Kind, Value: e.Detail})
		}
	}
	if untold > 0 {
		last := &v.Obligations[len(v.Obligations)-1]
		last.Value += fmt.Sprintf(" (and %d more events of this list, which the catalog shows)", untold)
	}
	if len(v.Obligations) > 0 {
		v.Obligations = append(v.Obligations, guard.Obligation{Kind: guard.AddLabel, Name: "catalog"})
	}
	if len(held) == 0 {
		return v
	}
	v.Detail = "held: " + strings.Join(why[:min(len(why), 8)], "; ")
	if l.kind == definition.Instructions {
		v.Edits = []mcp.Edit{mcp.RemoveMember("/result/" + l.member)}
		return v
	}
	kept := json.RawMessage("[")
	for i := range defs {
		if held[defs[i].Name] {
			continue
		}
		if len(kept) > 1 {
			kept = append(kept, ',')
		}
		kept = append(kept, defs[i].Raw...)
	}
	v.Edits = []mcp.Edit{mcp.SetPointer("/result/"+l.member, append(kept, ']'))}
	return v
}
