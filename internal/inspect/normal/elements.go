package normal

import (
	"html"
	"strings"
)

// kind says what becomes of an element.
type kind uint8

const (
	inlined kind = iota // its tags go, and its content stays
	block               // likewise, on a line of its own
	cell                // likewise, with a space before it
	void                // has no content
	raw                 // its content is no HTML, and goes
	unread              // its content is HTML that is not for reading, and goes
)

// elements are those of HTML, SVG and MathML that a browser does something
// about. Anything else is a placeholder or a type in somebody's prose.
var elements = func() map[string]kind {
	m := make(map[string]kind)
	for k, names := range map[kind]string{
		raw:    "script style iframe noembed noframes noscript xmp plaintext textarea title",
		unread: "svg math template object applet audio video canvas select datalist head frameset map picture",
		void:   "area base basefont bgsound col embed frame hr img input keygen link meta param source track wbr",
		block: `address article aside blockquote body br center dd details dialog dir div dl dt fieldset figcaption figure footer form
			h1 h2 h3 h4 h5 h6 header hgroup html legend li main menu nav ol optgroup option p pre search section summary table tbody tfoot thead tr ul`,
		cell: "td th",
		inlined: `a abbr acronym b bdi bdo big blink button caption cite code colgroup command content data del dfn element em font i image ins isindex
			kbd label marquee mark menuitem meter nobr output portal progress q rb rp rt rtc ruby s samp shadow slot small span strike strong sub sup
			time tt u var animate animatetransform circle defs desc ellipse filter foreignobject g line lineargradient marker mask metadata path pattern
			polygon polyline radialgradient rect set stop switch symbol text textpath tspan use view annotation annotation-xml mi mn mo ms mtext mglyph malignmark`,
	} {
		for name := range strings.FieldsSeq(names) {
			m[name] = k
		}
	}
	return m
}()

// hides reports whether an element with these attributes is not seen.
func hides(attributes string) bool {
	if strings.TrimSpace(attributes) == "" {
		return false
	}
	low := strings.ToLower(html.UnescapeString(attributes))
	for name, value := range pairs(low) {
		switch name {
		case "hidden":
			return true
		case "aria-hidden":
			if value == "true" {
				return true
			}
		case "style":
			if unseen(value) {
				return true
			}
		}
	}
	return false
}

// pairs yields the attributes of a tag (HTML, 13.2.5.32 and on).
func pairs(s string) func(yield func(name, value string) bool) {
	const space = " \t\n\f\r/"
	return func(yield func(name, value string) bool) {
		for s = strings.TrimLeft(s, space); s != ""; s = strings.TrimLeft(s, space) {
			end := strings.IndexAny(s[1:], space+"=") + 1
			if end == 0 {
				yield(s, "")
				return
			}
			name := s[:end]
			s = strings.TrimLeft(s[end:], " \t\n\f\r")
			value := ""
			if strings.HasPrefix(s, "=") {
				s = strings.TrimLeft(s[1:], " \t\n\f\r")
				value, s = attributeValue(s)
			}
			if !yield(name, value) {
				return
			}
		}
	}
}

func attributeValue(s string) (value, rest string) {
	if s == "" {
		return "", ""
	}
	if q := s[0]; q == '"' || q == '\'' {
		if value, rest, ok := strings.Cut(s[1:], string(q)); ok {
			return value, rest
		}
		return s[1:], ""
	}
	if end := strings.IndexAny(s, " \t\n\f\r"); end >= 0 {
		return s[:end], s[end:]
	}
	return s, ""
}

// unseen reports whether a style makes text invisible. It reads declarations,
// not stylesheets, which are gone.
func unseen(style string) bool {
	colour, ground := "", ""
	for d := range strings.SplitSeq(uncomment(style), ";") {
		property, value, _ := strings.Cut(d, ":")
		property = strings.TrimSpace(property)
		value = strings.TrimSpace(strings.ReplaceAll(value, "!important", ""))
		zero := strings.HasPrefix(strings.TrimLeft(value, "0."), "px") || strings.Trim(value, "0.pxemrtvhw%") == "" && value != ""
		switch property {
		case "display":
			if value == "none" {
				return true
			}
		case "visibility":
			if value == "hidden" || value == "collapse" {
				return true
			}
		case "content-visibility":
			if value == "hidden" {
				return true
			}
		case "opacity", "font-size", "width", "height", "max-height", "max-width", "zoom", "line-height":
			if zero || property == "font-size" && tiny(value) {
				return true
			}
		case "font":
			if strings.HasPrefix(value, "0") || strings.Contains(value, " 0") {
				return true
			}
		case "text-indent", "left", "top", "right", "bottom", "margin-left", "margin-top":
			if strings.HasPrefix(value, "-") && len(strings.TrimLeft(value[1:], "0")) >= 5 { // -999px and beyond
				return true
			}
		case "clip", "clip-path":
			if value != "auto" && value != "none" {
				return true
			}
		case "transform":
			if strings.Contains(value, "scale(0") || strings.Contains(value, "scalex(0") || strings.Contains(value, "scaley(0") {
				return true
			}
		case "color":
			colour = value
		case "background", "background-color":
			ground = value
		}
		if property == "color" && (value == "transparent" || strings.HasSuffix(value, ",0)") || strings.HasSuffix(value, ", 0)")) {
			return true
		}
	}
	if white(colour) && (ground == "" || white(ground)) {
		return true
	}
	return colour != "" && colour == ground
}

// tiny accepts sizes of up to two units that no person can read.
func tiny(value string) bool {
	v := strings.TrimLeft(value, "0")
	return (strings.HasSuffix(v, "px") || strings.HasSuffix(v, "pt")) && (strings.HasPrefix(v, "1p") || strings.HasPrefix(v, "2p") || strings.HasPrefix(v, "."))
}

// white is the ground that pages have unless they say otherwise.
func white(colour string) bool {
	switch strings.ReplaceAll(colour, " ", "") {
	case "white", "#fff", "#ffffff", "rgb(255,255,255)", "rgba(255,255,255,1)", "#fefefe", "snow":
		return true
	}
	return false
}

// uncomment takes the comments out of a style.
func uncomment(s string) string {
	if !strings.Contains(s, "/*") {
		return s
	}
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(s, "/*")
		b.WriteString(before)
		_, after, closed := strings.Cut(rest, "*/")
		if !ok || !closed {
			return b.String()
		}
		s = after
	}
}
