package quota

import (
	"encoding/base64"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// The headers RateLimit and RateLimit-Policy tell a caller about its own limits
// (draft-ietf-httpapi-ratelimit-headers-11 of 23 May 2026). Limits that it shares
// with others are left out: what is left of those tells what the others do.

// describe prepares what the headers say of a rule.
func (r *rule) describe() {
	r.own = r.byPrincipal
	if !r.own {
		return
	}
	r.parted = slices.ContainsFunc(r.by, func(d dimension) bool { return d >= byServer })
	l := &r.limit
	for i, w := range l.Windows {
		name := l.Name
		if len(l.Windows) > 1 {
			name += "-" + spanName(w.Per)
		}
		q, unit := uint64(w.Count), ""
		switch l.Kind {
		case InFlight:
			unit = `;qu="concurrent-requests"`
		case Bytes:
			q, unit = q*Unit, `;qu="content-bytes"`
		}
		p := `"` + name + `";q=` + strconv.FormatUint(q, 10) + unit
		if w.Per > 0 {
			p += ";w=" + seconds(w.Per)
		}
		if i > 0 {
			r.policy += ", "
		}
		r.policy += p
		r.items = append(r.items, `"`+name+`";r=`)
	}
}

// parts are the partition keys of a call's charges, as headers write them, one
// after the other.
type parts struct {
	text []byte
	room [96]byte
}

// part is where one of them is.
type part struct{ from, to uint8 }

// add appends what the counter of a rule is about beside the caller (section 3.1.4
// of the draft): a caller may have something left for another tool. What is too long
// is left out.
func (p *parts) add(r *rule, x *guard.Exchange, m *mcp.Message) (at part) {
	var room [64]byte
	k := room[:0]
	for _, d := range r.by {
		if d < byServer {
			continue
		}
		if len(k) > 0 {
			k = append(k, ' ')
		}
		switch d {
		case byServer:
			k = append(k, x.Server.Name...)
		case byTool:
			k = append(append(append(k, x.Server.Name...), '/'), m.Name...)
		case byMethod:
			k = append(k, m.Method...)
		}
	}
	if p.text == nil {
		p.text = p.room[:0]
	}
	if len(p.text)+base64.StdEncoding.EncodedLen(len(k)) > len(p.room) {
		return part{}
	}
	at.from = uint8(len(p.text))
	p.text = base64.StdEncoding.AppendEncode(p.text, k)
	at.to = uint8(len(p.text))
	return at
}

func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// inform adds the headers to duties. At a refusal, refused is the index of the
// charge without room; otherwise it is -1.
func (q *quota) inform(duties []guard.Obligation, t *taken, refused int, after time.Duration) []guard.Obligation {
	if !q.headers {
		return duties
	}
	var mask uint16
	var room [256]byte
	b := room[:0]
	for i := range t.charges {
		r, c := &q.rules[t.rules[i]], &t.charges[i]
		if !r.own {
			continue
		}
		mask |= 1 << t.rules[i]
		left, of, reset := uint64(c.Left), c.Tight, r.limit.Windows[c.Tight].Per
		switch {
		case i == refused:
			left, reset = 0, after
		case refused >= 0 || !c.Known:
			continue
		}
		if len(b) > 0 {
			b = append(b, ", "...)
		}
		b = append(b, r.items[of]...)
		if r.limit.Kind == Bytes {
			left *= Unit
		}
		b = strconv.AppendUint(b, left, 10)
		if r.limit.Kind != InFlight {
			b = strconv.AppendInt(append(b, ";t="...), int64((reset+time.Second-1)/time.Second), 10)
		}
		if r.parted && i < len(t.partOf) && t.partOf[i].to > 0 {
			b = append(append(b, ";pk=:"...), t.parts.text[t.partOf[i].from:t.partOf[i].to]...)
			b = append(b, ':')
		}
	}
	if mask == 0 {
		return duties
	}
	duties = append(duties, guard.Obligation{Kind: guard.ResponseHeader, Name: "ratelimit-policy", Value: q.policy(mask)})
	if len(b) > 0 {
		duties = append(duties, guard.Obligation{Kind: guard.ResponseHeader, Name: "ratelimit", Value: string(b)})
	}
	return duties
}

// policy joins what the headers say of some rules. There are few combinations.
func (q *quota) policy(mask uint16) string {
	if p, ok := q.policies.Load(mask); ok {
		return p.(string)
	}
	p := ""
	for i := range q.rules {
		if mask&(1<<i) == 0 {
			continue
		}
		if p != "" {
			p += ", "
		}
		p += q.rules[i].policy
	}
	q.policies.Store(mask, p)
	return p
}
