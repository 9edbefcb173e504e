package normal

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/microcosm-cc/bluemonday"
)

// sanitizer returns what makes harmless HTML of any. Which elements and
// attributes are harmless is for bluemonday to know; where links lead is ours.
func (n *Normaliser) sanitizer() func(string) string {
	p := bluemonday.NewPolicy()
	p.AllowElements("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "code", "em", "strong", "b", "i", "u", "s", "sub", "sup",
		"ul", "ol", "li", "dl", "dt", "dd", "table", "thead", "tbody", "tfoot", "tr", "td", "th", "caption", "div", "span", "small", "del", "ins", "abbr", "kbd", "samp", "var", "mark", "q", "cite")
	p.AllowAttrs("colspan", "rowspan").Matching(regexp.MustCompile(`^[0-9]{1,3}$`)).OnElements("td", "th")
	p.AllowAttrs("href").OnElements("a")
	p.AllowAttrs("alt", "title").OnElements("img", "a", "abbr")
	if n.admits != nil {
		p.AllowAttrs("src").OnElements("img")
	}
	p.RequireParseableURLs(true)
	p.RequireNoFollowOnLinks(false)
	p.AllowRelativeURLs(false)
	admit := func(u *url.URL) bool {
		u.Scheme = strings.ToLower(u.Scheme)
		return n.admits == nil || n.admits(u.String())
	}
	p.AllowURLSchemeWithCustomPolicy("https", admit)
	p.AllowURLSchemeWithCustomPolicy("http", admit)
	p.AllowURLSchemes("mailto")
	return p.Sanitize
}
