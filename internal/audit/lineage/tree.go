package lineage

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"
)

// Write prints the lineage as a tree for people.
func (r *Result) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", text(r.line()))
	who := []string{"by " + text(cmp.Or(r.Subject, "nobody verified"))}
	for _, f := range [...]struct{ name, value string }{{"client", r.Client}, {"tenant", r.Tenant}, {"task", r.Task}} {
		if f.value != "" {
			who = append(who, f.name+" "+text(f.value))
		}
	}
	fmt.Fprintf(&b, "  %s\n", strings.Join(who, ", "))
	branches(&b, "  ", r.Sources, r.More)
	_, err := io.WriteString(w, b.String())
	return err
}

func branches(b *strings.Builder, indent string, list []*Call, more int) {
	for i, c := range list {
		branch, below := "├─ ", "│  "
		if i == len(list)-1 && more == 0 {
			branch, below = "└─ ", "   "
		}
		fmt.Fprintf(b, "%s%s%s\n%s%s   %s\n", indent, branch, text(c.line()), indent, strings.TrimRight(below, " "), text(c.why()))
		branches(b, indent+below, c.Sources, c.More)
	}
	if more > 0 {
		fmt.Fprintf(b, "%s└─ and %d more\n", indent, more)
	}
}

// line names a call.
func (c *Call) line() string {
	if c.Missing {
		return fmt.Sprintf("%s at %s: on no receipt that was read", c.Exchange, text(c.Server))
	}
	target := text(c.Server)
	if c.Name != "" {
		target += "/" + text(c.Name)
	} else if c.Method != "" {
		target += " " + text(c.Method)
	}
	s := fmt.Sprintf("%s %s %s %s", c.Time.UTC().Format(time.RFC3339Nano), target, c.Exchange, c.Action)
	if c.Reason != "" {
		s += " " + c.Reason
	}
	return s
}

// why says how a source is known.
func (c *Call) why() string {
	var out []string
	if c.Values > 0 {
		out = append(out, fmt.Sprintf("%d values of its reply are among the arguments", c.Values))
	}
	if len(c.Brought) > 0 {
		out = append(out, "it brought "+strings.Join(c.Brought, ", "))
	}
	if len(out) == 0 {
		out = append(out, "its reply was there before")
	}
	if c.Again {
		out = append(out, "its own sources stand elsewhere here")
	}
	return strings.Join(out, "; ")
}

// text shows a name on one line.
func text(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}
