package egress

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/inspect/destination"
	"github.com/sallyport/sallyport/internal/inspect/wire"
	"github.com/sallyport/sallyport/mcp"
)

// ForeignLink is the reason for which an answer is withheld.
const ForeignLink guard.Reason = "foreign_link"

// outward are the messages of servers whose links are judged.
func outward() (out []guard.Want) {
	for _, m := range []string{
		"tools/call", "resources/read", "prompts/get", "tasks/get", "tasks/result", "sampling/createMessage", "elicitation/create", "notifications/message",
		"notifications/progress", "notifications/tasks/status", "notifications/tasks", "notifications/cancelled", "tasks/list", "tasks/cancel", "completion/complete",
	} {
		out = append(out, guard.Want{Method: m, Direction: mcp.ToClient})
	}
	return out
}

// foreign is a text with links that lead where nothing is allowed to lead.
type foreign struct {
	pointer    string
	host       string // of one of them
	start, end int    // in Raw, inside the quotes
	key        bool
	value      []byte // decoded; only where it may be cut
}

// found is what one pass over a message finds.
type found struct {
	places []foreign
	links  []string // pointers of blocks of the type resource_link
}

// inspectLinks judges what a server's message links to. Names are not looked up:
// whoever follows a link does it from somewhere else.
func (g *egress) inspectLinks(x *guard.Exchange, m *mcp.Message) (guard.Verdict, error) {
	base, part := "/result", m.Result
	switch {
	case m.Kind == mcp.Failure:
		base, part = "/error", m.Error
	case part == nil:
		base, part = "/params", m.Params
	}
	if part == nil || slices.Contains(g.Ignore, Tool{x.Server.Name, x.Asked.Name}) && x.Asked.Method == "tools/call" {
		return guard.Pass(), nil
	}
	offset, _, ok := mcp.Locate(m.Raw, base)
	if !ok {
		return guard.Verdict{}, fmt.Errorf("egress: inspect: no %s in the message", base)
	}
	policy := g.policy(x, &mcp.Message{Name: x.Asked.Name})
	f, err := links(x, policy, part, offset, g.results == strip)
	if err != nil {
		return guard.Verdict{}, fmt.Errorf("egress: inspect: %w", err)
	}
	if len(f.places) == 0 {
		return guard.Pass(), nil
	}
	v := guard.Pass()
	v.Detail = f.tell(base)
	v.Obligations = []guard.Obligation{{Kind: guard.AddLabel, Name: "foreign_links"}, {Kind: guard.Raise, Name: "foreign_links", Value: v.Detail}}
	switch {
	case g.results == annotate:
		if m.Result != nil {
			v.Edits = []mcp.Edit{f.meta(m)}
		}
	case g.results == strip && f.cut(&v, base, policy):
	default:
		v.Action, v.Reason, v.Edits = guard.Deny, ForeignLink, nil
	}
	return v, nil
}

func links(x *guard.Exchange, policy *destination.Policy, part json.RawMessage, offset int, keep bool) (f found, err error) {
	var r wire.Reader
	err = r.EachText(part, func(t *wire.Text) {
		if t.Kind == mcp.LeafNumber || x.Over(len(t.Value)) {
			return
		}
		if t.Kind == mcp.LeafString && string(t.Key) == "type" && string(t.Value) == "resource_link" {
			f.links = append(f.links, strings.TrimSuffix(t.Pointer(), "/type"))
		}
		host, bad := leadsOut(policy, t.Value)
		if !bad || strings.HasPrefix(t.Pointer(), "/_meta/") {
			return
		}
		p := foreign{pointer: t.Pointer(), host: host, key: t.Kind == mcp.LeafKey}
		p.start, p.end = t.Span(0, len(t.Value))
		p.start, p.end = p.start+offset, p.end+offset
		if keep {
			p.value = slices.Clone(t.Value)
		}
		f.places = append(f.places, p)
	})
	if err == nil && x.Over(0) {
		err = guard.ErrOverBudget
	}
	return f, err
}

// leadsOut reports whether a text links to where nothing may lead. A bare host or
// address is no link: answers speak of such all the time.
func leadsOut(policy *destination.Policy, value []byte) (host string, bad bool) {
	for _, d := range destination.Links(value) {
		if !stays(policy, d.Destination, d.Err) {
			return d.Host, true
		}
	}
	return "", false
}

func stays(policy *destination.Policy, d destination.Destination, err error) bool {
	switch {
	case err != nil: // a server's own scheme needs no host
		return policy.Open || d.Scheme != "" && !follows(d.Scheme)
	case d.Scheme != "" && d.Scheme != "file" && !follows(d.Scheme): // a file with a host is a share
		return true
	}
	_, err = policy.Check(d)
	return err == nil
}

// follows reports whether programs that meet a link with the scheme go to its host.
func follows(scheme string) bool {
	switch scheme {
	case "http", "https", "ws", "wss", "ftp", "ftps", "sftp", "ssh", "smb", "cifs", "gopher", "ldap", "ldaps", "tftp", "rtsp", "telnet", "webcal", "webcals", "feed":
		return true
	}
	return false
}

// tell says where the first few are.
func (f *found) tell(base string) string {
	var out []string
	for i, p := range f.places {
		if i == 10 {
			out = append(out, fmt.Sprintf("and %d more", len(f.places)-i))
			break
		}
		host := p.host
		if host == "" {
			host = "a place that cannot be read without doubt"
		}
		out = append(out, base+p.pointer+" links to "+host)
	}
	return strings.Join(out, "; ")
}

// What stands in the place of links, as JSON has it.
const (
	mark     = "[link withheld]"
	withheld = `[Withheld by the gateway: a link to a place that is not allowed]`
	block    = `{"type":"text","text":"` + withheld + `"}`
	nowhere  = "urn:sallyport:withheld"
)

// cut takes the links out, and reports whether it could. A resource link goes as a
// whole, the resource of an embedded one loses its URI, and a text from which a link
// cannot be cut goes as a whole too.
func (f *found) cut(v *guard.Verdict, base string, policy *destination.Policy) bool {
	whole := make(map[string]bool)
	for _, at := range f.links {
		whole[at] = false
	}
	for i := range f.places {
		p := &f.places[i]
		if at, ok := within(p.pointer, whole); ok {
			if !whole[at] {
				whole[at] = true
				v.Edits = append(v.Edits, mcp.SetPointer(base+at, []byte(block)))
			}
			continue
		}
		switch {
		case p.key, base == "/params" && p.pointer == "/url": // a name cannot be cut, and a page to open is all that there is
			return false
		case strings.HasSuffix(p.pointer, "/uri"):
			v.Edits = append(v.Edits, mcp.SetSpan(p.start, p.end, []byte(nowhere)))
			continue
		}
		text := destination.Cut(p.value, func(d destination.Destination, err error) bool { return stays(policy, d, err) }, mark)
		if _, bad := leadsOut(policy, text); bad {
			text = []byte(withheld)
		}
		quoted := mcp.AppendQuote(nil, string(text))
		v.Edits = append(v.Edits, mcp.SetSpan(p.start, p.end, quoted[1:len(quoted)-1]))
	}
	return true
}

// within returns the block that a pointer leads into.
func within(pointer string, blocks map[string]bool) (string, bool) {
	for i := strings.LastIndexByte(pointer, '/'); i >= 0; i = strings.LastIndexByte(pointer[:i], '/') {
		if _, ok := blocks[pointer[:i]]; ok {
			return pointer[:i], true
		}
	}
	return "", false
}

// metaKey follows the protocol's rule for names in _meta: a prefix of one's own.
const metaKey = "sallyport.dev/links"

// meta says in the result's _meta which links lead where nothing may.
func (f *found) meta(m *mcp.Message) mcp.Edit {
	b := []byte(`{"foreign":[`)
	for i, p := range f.places[:min(len(f.places), 100)] {
		if i > 0 {
			b = append(b, ',')
		}
		b = mcp.AppendQuote(append(b, `{"at":`...), "/result"+p.pointer)
		if p.host != "" {
			b = mcp.AppendQuote(append(b, `,"host":`...), p.host)
		}
		b = append(b, '}')
	}
	b = append(b, `]}`...)
	if have, ok := mcp.Member(m.Result, "_meta"); ok && len(have) > 0 && have[0] == '{' {
		return mcp.SetPointer("/result/_meta/"+strings.ReplaceAll(metaKey, "/", "~1"), b)
	}
	return mcp.SetPointer("/result/_meta", append(append([]byte(`{"`+metaKey+`":`), b...), '}'))
}
