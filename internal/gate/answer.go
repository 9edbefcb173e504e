package gate

import (
	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp/sse"
)

// Answer is a refusal as an HTTP response.
type Answer struct {
	Status  int
	Headers []Header
	Body    []byte
}

// Render puts a refusal into HTTP. eventsOnly is what [EventsOnly] said of the
// client. An empty body goes out without a content type.
func Render(r guard.Refusal, eventsOnly bool) Answer {
	a := Answer{Status: r.Sent, Body: r.Body}
	add := func(name, value string) {
		if value != "" {
			a.Headers = append(a.Headers, Header{Name: name, Value: value})
		}
	}
	switch {
	case len(r.Body) == 0:
	case eventsOnly && a.Status == 200:
		a.Body = sse.Event{Data: r.Body}.AppendTo(nil)
		add("content-type", "text/event-stream")
	default:
		add("content-type", "application/json")
	}
	add("retry-after", r.RetryAfter)
	add("www-authenticate", r.Challenge)
	a.Headers = append(a.Headers, r.Fields...)
	if r.Status == 405 {
		add("allow", "POST, GET, DELETE")
	}
	return a
}
