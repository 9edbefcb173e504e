package quota

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/guard"
)

func (q *quota) refuse(a Answer, t *taken) guard.Verdict {
	l := t.charges[a.Charge].Limit
	if a.Outcome == Unavailable {
		v := guard.Refuse(QuotaUnavailable, fmt.Sprintf("rule %s: %v", l.Name, a.Cause))
		v.Obligations = []guard.Obligation{{Kind: guard.RetryAfter, Value: "1"}}
		return v
	}
	// A whole second more than nothing: who comes back at once is refused again.
	wait := strconv.FormatInt(max(1, int64((a.After+time.Second-1)/time.Second)), 10)
	v := guard.Refuse(QuotaExceeded, "rule "+l.Name)
	v.Hint = "Limit " + l.Name + ": " + q.rules[t.rules[a.Charge]].says() + ". Try again in " + wait + " s."
	v.Obligations = q.inform(append(t.duties[:0], guard.Obligation{Kind: guard.RetryAfter, Value: wait}), t, a.Charge, a.After)
	return v
}

// says is the limit as a configuration writes it.
func (r *rule) says() string {
	l := &r.limit
	switch {
	case r.streams:
		return strconv.FormatUint(uint64(l.Windows[0].Count), 10) + " streams at once"
	case l.Kind == InFlight:
		return strconv.FormatUint(uint64(l.Windows[0].Count), 10) + " calls at once"
	case l.Kind == Bytes:
		return strings.ReplaceAll(text(l.Windows, Unit), "/", " bytes/")
	}
	return text(l.Windows, 1)
}

// text writes windows as a configuration does.
func text(windows []Window, unit uint64) string {
	var b []byte
	for i, w := range windows {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(strconv.AppendUint(b, uint64(w.Count)*unit, 10), '/')
		b = append(b, spanName(w.Per)...)
	}
	return string(b)
}

func spanName(per time.Duration) string {
	switch per {
	case time.Second:
		return "second"
	case time.Minute:
		return "minute"
	case time.Hour:
		return "hour"
	case 24 * time.Hour:
		return "day"
	}
	return per.String()
}
