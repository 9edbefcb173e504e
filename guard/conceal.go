package guard

import (
	"encoding/json"
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

// What is written down in the place of names and ids that show too much.
const (
	hiddenName = "[name]"
	hiddenID   = `"[id]"`
)

// IDInClear returns what of the id of the client's request may be written down. Of one
// that nobody has judged that is a number alone.
func (a *Asked) IDInClear() json.RawMessage {
	if len(a.ID) > 0 && (a.hidden || a.Kind == mcp.Invalid && a.ID[0] == '"') {
		return json.RawMessage(hiddenID)
	}
	return a.ID
}

// ID returns what of the id of a message may be written down.
func (d *Decision) ID(x *Exchange, m *mcp.Message) json.RawMessage {
	if len(m.ID) > 0 && (d.hidden || x.Asked.hidden && mcp.SameID(m.ID, x.Asked.ID)) {
		return json.RawMessage(hiddenID)
	}
	return m.ID
}

// veil finds out whether the name or the id of a message shows what nobody may keep:
// clients and servers can make up both, and they are written down also where no guard
// got to look at them.
func (d *Decision) veil(x *Exchange, m *mcp.Message, reveals func(string) bool) {
	if m == nil || reveals == nil {
		return
	}
	if len(m.ID) > 0 && !mcp.SameID(m.ID, x.Asked.ID) || d.Direction == mcp.ToServer {
		if id, err := mcp.Unquote(m.ID); err == nil && telling(id) || len(m.ID) >= mostDigits && m.ID[0] != '"' {
			if err != nil {
				id = string(m.ID)
			}
			d.hidden = reveals(id)
			x.Asked.hidden = x.Asked.hidden || d.hidden && d.Direction == mcp.ToServer
		}
	}
	name := d.Direction == mcp.ToServer && m.Name != "" && m.Name == x.Asked.Name
	if name {
		_, known := x.Server.Tools[m.Name]
		if shown := x.Asked.InClear(); !(known && m.Method == "tools/call") && telling(shown) && reveals(shown) {
			d.veiled = true
			if x.Asked.Clear = mcp.ExposeHost.Target(m.Method, m.Name); telling(x.Asked.Clear) && reveals(x.Asked.Clear) {
				x.Asked.Clear = hiddenName
			}
		}
	}
	d.veiled = d.veiled || d.hidden
}

// mostDigits is how long a number can be that is too short for a card's.
const mostDigits = 13

// telling reports whether a text is worth a look: what is short, one word of letters,
// or a UUID has no secret of any form in it.
func telling(s string) bool {
	if len(s) < 6 {
		return false
	}
	if IsUUID(s) {
		return false
	}
	return len(s) > 48 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-./") != ""
}

// IsUUID reports whether text is a UUID as most ids are, in which there is nothing
// to find.
func IsUUID[T string | []byte](text T) bool {
	if len(text) != 36 {
		return false
	}
	for i := range len(text) {
		c := text[i]
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (c == '-') || !dash && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
			return false
		}
	}
	return true
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
	if d.sensitive() && shown != hiddenName {
		if less := mcp.ExposeHost.Target(method, whole); less != whole {
			shown = less
		}
	}
	return whole, shown
}

// sensitive reports whether a guard found something that must not be kept in clear.
func (d *Decision) sensitive() bool {
	if d.veiled {
		return true
	}
	for i := range d.Journal {
		if d.Journal[i].Sensitive {
			return true
		}
	}
	return false
}

// conceal takes out of what guards said all that they repeat of a URI and that may
// not be written down, before anybody is told.
func (d *Decision) conceal(x *Exchange, m *mcp.Message, reveals func(string) bool) {
	d.veil(x, m, reveals)
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
