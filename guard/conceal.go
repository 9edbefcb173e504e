package guard

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/mcp"
)

// InClear returns what of the name that the client's message asked for may be
// written down.
func (a *Asked) InClear() string {
	if a.Clear != "" || a.Name == "" {
		return a.Clear
	}
	return mcp.ExposePath.Target(a.Method, a.Name)
}

// Target names what a message works on, or, of a reply, what it was asked for: whole,
// and as it may be written down in receipts, logs and traces. Where the two differ,
// nobody may write down the whole.
func (d *Decision) Target(x *Exchange, m *mcp.Message) (whole, shown string) {
	method := x.Asked.Method
	switch {
	case m == nil || m.Name == "":
		whole, shown = x.Asked.Name, x.Asked.InClear()
	case m.Direction == mcp.ToServer && m.Name == x.Asked.Name: // a decision may have found that less of it may
		whole, shown = m.Name, x.Asked.InClear()
	default:
		whole, shown, method = m.Name, m.InClear(), m.Method
	}
	if d.sensitive() {
		shown = mcp.ExposeHost.Target(method, whole)
	}
	return whole, shown
}

// sensitive reports whether a guard found something that must not be kept in clear.
func (d *Decision) sensitive() bool {
	for i := range d.Journal {
		if d.Journal[i].Sensitive {
			return true
		}
	}
	return false
}

// conceal takes out of what guards said all that they repeat of a URI and that may
// not be written down, before anybody is told.
func (d *Decision) conceal(x *Exchange, m *mcp.Message) {
	whole, shown := d.Target(x, m)
	if whole == shown {
		return
	}
	if whole == x.Asked.Name {
		x.Asked.Clear = shown // also where only this message shows that it is sensitive
	}
	if !d.says() {
		return
	}
	r := strings.NewReplacer(repeated(whole, shown)...)
	d.Detail = r.Replace(d.Detail)
	for i := range d.Journal {
		e := &d.Journal[i]
		e.Detail = r.Replace(e.Detail)
		if e.Err != nil {
			if text := e.Err.Error(); r.Replace(text) != text {
				e.Err = concealed{e.Err, r.Replace(text)}
			}
		}
	}
	for i := range d.Events {
		d.Events[i].Detail = r.Replace(d.Events[i].Detail)
	}
}

// says reports whether there are any words at all, beside the verdicts.
func (d *Decision) says() bool {
	return d.Detail != "" || slices.ContainsFunc(d.Journal, func(e Entry) bool { return e.Detail != "" || e.Err != nil }) ||
		slices.ContainsFunc(d.Events, func(e Event) bool { return e.Detail != "" })
}

// concealed is an error of which other words are written down.
type concealed struct {
	error
	text string
}

func (c concealed) Error() string { return c.text }
func (c concealed) Unwrap() error { return c.error }

// Bounds of the parts of a URI that are looked for: shorter ones stand in any text,
// and a client can make any number of them.
const (
	leastPart = 4
	mostParts = 64
)

// repeated pairs the texts that may repeat a URI or a part of it with what is written
// in their place. Of two that begin at one place the first counts.
func repeated(whole, shown string) []string {
	var out []string
	add := func(text, instead string) {
		if len(text) < leastPart || len(out) >= 2*mostParts {
			return
		}
		out = append(out, text, instead)
		if quoted := strconv.Quote(text); quoted[1:len(quoted)-1] != text {
			out = append(out, quoted[1:len(quoted)-1], instead)
		}
		if undone, err := url.PathUnescape(text); err == nil && undone != text && len(undone) >= leastPart {
			out = append(out, undone, instead)
		}
	}
	add(whole, shown)
	if normal, err := mcp.NormalURI(whole); err == nil && normal != whole {
		add(normal, shown)
	}
	part := func(text, instead, between string) {
		if !strings.Contains(shown, instead) {
			return
		}
		add(text, instead)
		for one := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune(between, r) }) {
			if one != text {
				add(one, instead)
			}
		}
	}
	rest, fragment, _ := strings.Cut(whole, "#")
	part(fragment, "[fragment]", "&=")
	rest, query, _ := strings.Cut(rest, "?")
	part(query, "[query]", "&=")
	_, after, ok := strings.Cut(rest, "://")
	if !ok {
		_, after, _ = strings.Cut(rest, ":")
		part(after, "[opaque]", ",;@")
		part(after, "[uri]", "@")
		return out
	}
	authority, path, _ := strings.Cut(after, "/")
	user, host := "", authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, host = authority[:i], authority[i+1:]
	}
	part(user, "[userinfo]", ":")
	part(host, "[host]", "@:")
	if _, shown, ok := strings.Cut(shown, "://"); ok {
		_, shown, _ = strings.Cut(shown, "/")
		shown, _, _ = strings.Cut(shown, "[path]")
		path = strings.TrimPrefix(path, shown)
	}
	part(path, "[path]", "/;=&")
	return out
}
