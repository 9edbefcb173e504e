package app

import (
	"context"
	"errors"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/flow"
	"github.com/sallyport/sallyport/internal/admin"
)

// labelRoutes show what a caller or its task carries, and take it away.
func (g *Gateway) labelRoutes() []admin.Route {
	return []admin.Route{
		{Pattern: "POST /v1/labels/show", Do: func(ctx context.Context, body []byte) (any, error) { return g.labels(ctx, "show", body) }},
		{Pattern: "POST /v1/labels/reset", Do: func(ctx context.Context, body []byte) (any, error) { return g.labels(ctx, "reset", body) }},
	}
}

// Carrier says whose labels are meant.
type Carrier struct {
	Tenant  string `json:"tenant"`
	Subject string `json:"subject"`
	Issuer  string `json:"issuer"`
	Client  string `json:"client"`
	Peer    string `json:"peer"`
	Task    string `json:"task"` // that tokens name; empty for the caller's own, whatever the task
	Because string `json:"because"`
}

// CarriedLabel is one label of a caller or task.
type CarriedLabel struct {
	Label    string `json:"label"`
	Exchange string `json:"exchange,omitempty"` // that brought it last
	Server   string `json:"server,omitempty"`
	Left     string `json:"for"` // how long it is still carried
}

var errNothingFollows = errors.New("no labels follow anybody: set guards.flow.labels")

// labels shows or takes away. Before anything is taken away, a receipt is kept.
func (g *Gateway) labels(ctx context.Context, what string, body []byte) (any, error) {
	var c Carrier
	if err := decodeCommand(body, &c); err != nil {
		return nil, err
	}
	store := g.lasting.flows.store()
	if store == nil {
		return nil, errNothingFollows
	}
	x := &guard.Exchange{Principal: guard.Principal{Tenant: c.Tenant, Subject: c.Subject, Issuer: c.Issuer, Client: c.Client, Peer: c.Peer, Task: c.Task}}
	if x.Principal.IsAnonymous() {
		return nil, errors.New("whose labels? subject and issuer, client, or peer")
	}
	keys := flow.Keys(x)
	key := keys[len(keys)-1]
	if what == "reset" {
		if err := g.keepCommand(ctx, "/v1/labels", what, body, guard.Event{Kind: "labels_reset", Guard: "flow"}); err != nil {
			return nil, err
		}
		were, err := store.Forget(ctx, key)
		if err == nil {
			g.log.Warn("labels were taken away", "subject", c.Subject, "client", c.Client, "peer", c.Peer, "tenant", c.Tenant, "task", c.Task, "labels", len(were), "because", c.Because)
		}
		return carriedLabels(were), err
	}
	all, known := store.TryRead([]flow.Key{key})
	if !known {
		var err error
		if all, err = store.Read(ctx, []flow.Key{key}); err != nil {
			return nil, err
		}
	}
	return carriedLabels(all[0]), nil
}

func carriedLabels(list []flow.Label) []CarriedLabel {
	out := []CarriedLabel{}
	for _, l := range list {
		out = append(out, CarriedLabel{l.Name, l.Source.Exchange, l.Source.Server, l.Left.Round(time.Second).String()})
	}
	return out
}
