package lineage

import (
	"cmp"
	"slices"
	"strings"
)

// sources returns what fed x, and how much more there is. What was walked before
// is not walked again.
func (b *book) sources(x *exchange, depth int, walked map[string]bool) (out []*Call, more int) {
	if depth == 0 {
		return nil, 0
	}
	out = b.feeding(x)
	slices.SortFunc(out, func(a, c *Call) int {
		return cmp.Or(strength(c.Evidence)-strength(a.Evidence), c.Time.Compare(a.Time), strings.Compare(a.Exchange, c.Exchange))
	})
	if b.Most > 0 && len(out) > b.Most {
		out, more = out[:b.Most], len(out)-b.Most
	}
	for _, c := range out {
		o := b.all[c.Exchange]
		if o == nil {
			continue
		}
		if walked[c.Exchange] {
			c.Again = true
			continue
		}
		walked[c.Exchange] = true
		c.Sources, c.More = b.sources(o, depth-1, walked)
	}
	return out, more
}

// feeding are the calls for which there is evidence that they fed x, in no order.
func (b *book) feeding(x *exchange) (out []*Call) {
	found := b.earlier(x)
	for _, s := range x.cites {
		c := found[s.Exchange]
		if c == nil {
			c = &Call{Exchange: s.Exchange, Server: s.Server, Missing: true, Evidence: Label}
			if o := b.all[s.Exchange]; o != nil { // older than the window
				c = o.call()
				c.Time, c.Evidence = o.gotFirst, Label
			}
			found[s.Exchange] = c
		}
		if c.Evidence == Time {
			c.Evidence = Label
		}
		for _, l := range s.Labels {
			if !slices.Contains(c.Brought, l) {
				c.Brought = append(c.Brought, l)
			}
		}
	}
	for _, c := range found {
		if c.Evidence != Time || b.All {
			out = append(out, c)
		}
	}
	return out
}

// earlier are the calls whose replies were there before x was asked, within the
// window, by their exchanges: with the values that x has of them, or with nothing
// but time to speak for them.
func (b *book) earlier(x *exchange) map[string]*Call {
	asked := x.asked
	if asked.IsZero() {
		asked = x.first.Time
	}
	found := make(map[string]*Call)
	for id, o := range b.candidates(x) {
		if id == x.first.Exchange || o.gotFirst.IsZero() || !o.gotFirst.Before(asked) || asked.Sub(o.gotAt) > b.Window {
			continue
		}
		c := o.call()
		c.Time, c.Evidence = o.gotFirst, Time
		for _, v := range o.got {
			if slices.Contains(x.sent, v) {
				c.Values, c.Evidence = c.Values+1, Value
			}
		}
		found[id] = c
	}
	return found
}

func strength(e Evidence) int {
	switch e {
	case Value:
		return 2
	case Label:
		return 1
	}
	return 0
}
