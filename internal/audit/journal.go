package audit

import (
	"slices"
	"strconv"

	"github.com/sallyport/sallyport/guard"
)

// obligations writes what the host had to do, without the values.
func obligations(b []byte, all []guard.Obligation) []byte {
	begun := false
	for i := range all {
		o := &all[i]
		var word string
		switch o.Kind {
		case guard.SetHeader:
			word = "set_header:"
		case guard.RetryAfter:
			word = "retry_after"
		case guard.Challenge:
			word = "challenge"
		case guard.Constrain:
			word = "constrain"
		case guard.ResponseHeader:
			word = "response_header:"
		default: // labels stand under labels, and events under events
			continue
		}
		if !begun {
			b, begun = append(b, `,"obligations":[`...), true
		} else {
			b = append(b, ',')
		}
		b = append(append(b, '"'), word...)
		if o.Kind == guard.SetHeader || o.Kind == guard.ResponseHeader {
			b = append(b, o.Name...) // the chain has checked that it is a token
		}
		b = append(b, '"')
	}
	if begun {
		b = append(b, ']')
	}
	return b
}

// sources writes which earlier exchanges the labels are from, each once.
func sources(b []byte, all []guard.Source) []byte {
	for i := range all {
		s := &all[i]
		same := func(o guard.Source) bool { return o.Exchange == s.Exchange && o.Server == s.Server }
		if slices.ContainsFunc(all[:i], same) {
			continue
		}
		if i == 0 {
			b = append(b, `,"sources":[`...)
		} else {
			b = append(b, ',')
		}
		b = text(append(b, `{"exchange":`...), s.Exchange)
		b = field(b, "server", s.Server)
		var labels []string
		for _, o := range all[i:] {
			if same(o) {
				labels = append(labels, o.Label)
			}
		}
		b = append(list(b, "labels", labels), '}')
	}
	if len(all) > 0 {
		b = append(b, ']')
	}
	return b
}

// events writes what people should learn of, whatever was decided.
func events(b []byte, k *seals, all []guard.Event) []byte {
	for i := range all {
		if i == 0 {
			b = append(b, `,"events":[`...)
		} else {
			b = append(b, ',')
		}
		b = append(b, `{"kind":"`...)
		b = append(b, all[i].Kind...) // the chain has checked it
		b = append(b, `","guard":"`...)
		b = append(b, all[i].Guard...)
		b = append(b, '"')
		b = field(b, "detail", k.hide(all[i].Detail))
		b = append(b, '}')
	}
	if len(all) > 0 {
		b = append(b, ']')
	}
	return b
}

func journal(b []byte, k *seals, entries []guard.Entry) []byte {
	b = append(b, `,"guards":[`...)
	for i := range entries {
		e := &entries[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"name":"`...)
		b = append(b, e.Guard...)
		b = append(b, `","action":"`...)
		b = append(b, e.Action.String()...)
		b = append(b, '"')
		if e.Mode != guard.Enforce {
			b = field(b, "mode", e.Mode.String())
		}
		b = field(b, "reason", string(e.Reason))
		b = field(b, "detail", k.hide(e.Detail))
		if e.Err != nil {
			b = field(b, "error", k.hide(e.Err.Error()))
		}
		if e.Labels > 0 {
			b = number(b, "labels_seen", int64(e.Labels))
		}
		b = measures(b, e.Measures)
		b = append(number(b, "took_us", e.Took.Microseconds()), '}')
	}
	return append(b, ']')
}

func measures(b []byte, all []guard.Measure) []byte {
	for i := range all {
		if i == 0 {
			b = append(b, `,"measures":{"`...)
		} else {
			b = append(b, `,"`...)
		}
		b = append(b, all[i].Name...) // the chain has checked it
		b = append(b, `":`...)
		b = strconv.AppendInt(b, all[i].Value, 10)
	}
	if len(all) > 0 {
		b = append(b, '}')
	}
	return b
}
