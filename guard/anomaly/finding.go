package anomaly

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// finding is one thing that is unusual.
type finding struct {
	signal signal
	text   string
	score  float64 // deviations; 0 where nothing is measured
	first  bool    // the first in this minute
}

// labelled lets a message go on with what is unusual about it.
func labelled(found []finding) guard.Verdict {
	v := guard.Pass()
	for i := range found {
		f := &found[i]
		v.Obligations = append(v.Obligations, guard.Obligation{Kind: guard.AddLabel, Name: words[f.signal].label})
		if f.first {
			v.Obligations = append(v.Obligations, guard.Obligation{Kind: guard.Raise, Name: words[f.signal].event, Value: f.String()})
		}
	}
	return v
}

func (f *finding) String() string {
	if f.score == 0 {
		return f.text
	}
	return fmt.Sprintf("%s: %.1f deviations", f.text, f.score)
}

// verdict is what configuration makes of what was found.
func (g *anomaly) verdict(x *guard.Exchange, m *mcp.Message, found []finding) guard.Verdict {
	v := labelled(found)
	if len(found) == 0 {
		return v
	}
	texts := make([]string, len(found))
	for i := range found {
		texts[i] = words[found[i].signal].label + ": " + found[i].String()
	}
	v.Detail = strings.Join(texts, "; ")
	if g.Action == "label" {
		return v
	}
	v.Action, v.Reason = guard.Deny, Detected
	if g.Action == "hold" && g.Tickets != nil {
		v.Action, v.Ticket = guard.Hold, g.Tickets.For(x, m, "An unusual call.")
	}
	return v
}
