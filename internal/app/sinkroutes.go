package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/audit/deliver"
)

// SinkReport is the body of /v1/sinks.
type SinkReport struct {
	Head  uint64           `json:"head"` // the last receipt in the log
	Sinks []deliver.Status `json:"sinks"`
}

// SinkCommand is what is asked of one sink.
type SinkCommand struct {
	Sink    string     `json:"sink"`
	From    *time.Time `json:"from,omitempty"` // of a replay
	Because string     `json:"because,omitempty"`
}

// SinkChange is what became of it.
type SinkChange struct {
	Sink  deliver.Status `json:"sink"`
	First uint64         `json:"first,omitempty"` // receipt that a replay begins with
}

// sinkRoutes show the sinks, and steer them.
func (g *Gateway) sinkRoutes() []admin.Route {
	routes := []admin.Route{{Pattern: "GET /v1/sinks", Show: func(*http.Request) (any, error) {
		r := SinkReport{Sinks: g.sinkStatus()}
		if g.sinks != nil {
			r.Head = g.sinks.Head()
		}
		return r, nil
	}}}
	for _, what := range []string{"pause", "resume", "replay"} {
		routes = append(routes, admin.Route{Pattern: "POST /v1/sinks/" + what, Do: func(ctx context.Context, body []byte) (any, error) { return g.steer(ctx, what, body) }})
	}
	return routes
}

func (g *Gateway) sinkStatus() []deliver.Status {
	if g.sinks == nil {
		return []deliver.Status{}
	}
	return g.sinks.Status()
}

// steer pauses, resumes or replays a sink. It leaves a receipt before it does.
func (g *Gateway) steer(ctx context.Context, what string, body []byte) (any, error) {
	var c SinkCommand
	if err := decodeCommand(body, &c); err != nil {
		return nil, err
	}
	if (what == "replay") != (c.From != nil) {
		return nil, errors.New("from: a replay needs the time that it begins with, and nothing else has one")
	}
	status := func() (deliver.Status, bool) {
		for _, s := range g.sinkStatus() {
			if s.Name == c.Sink {
				return s, true
			}
		}
		return deliver.Status{}, false
	}
	if _, ok := status(); !ok {
		return nil, fmt.Errorf("there is no sink %q", c.Sink)
	}
	if err := g.keepCommand(ctx, "/v1/sinks", what, body, guard.Event{Kind: "sink_" + what, Guard: "sinks", Detail: "sink " + c.Sink}); err != nil {
		return nil, err
	}
	var (
		change SinkChange
		err    error
	)
	switch what {
	case "pause":
		err = g.sinks.Pause(c.Sink)
	case "resume":
		err = g.sinks.Resume(c.Sink)
	case "replay":
		change.First, err = g.sinks.Replay(c.Sink, *c.From)
	}
	if err != nil {
		return nil, err
	}
	g.log.Warn("a sink was steered", "what", what, "sink", c.Sink, "from", c.From, "because", c.Because)
	change.Sink, _ = status()
	return change, nil
}
