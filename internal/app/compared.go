package app

import (
	"context"
	"time"

	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/internal/release"
	"github.com/sallyport/sallyport/internal/shadow"
)

// compared returns the queue of decisions to be compared.
func (r *releases) compared(places int) *shadow.Queue {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.queue == nil || r.places != places {
		r.queue, r.places = shadow.NewQueue(places), places
	}
	return r.queue
}

// report returns the report about two revisions, which a reload does not begin anew.
func (r *releases) report(at **shadow.Report, base, other string) *shadow.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	if *at == nil || !(*at).About(base, other) {
		*at = shadow.NewReport(base, other, time.Now())
	}
	return *at
}

// split divides callers between the live bundle and the candidate.
func (r *releases) split(d *deciders, c policy.Config) *release.Split {
	p := d.plan.Progress
	pair := &shadow.Pair{
		Base: d.live, Other: d.candidate, Queue: r.compared(c.Shadow.Queue), Sample: float64(c.Canary.Sample) / 100, URIs: d.uris,
		Report: r.report(&r.canaried, d.live.Revision(), d.candidate.Revision()),
		Done: func(agree, failed, asked bool) {
			p.Compared.Add(1)
			if !agree {
				p.Disagreed.Add(1)
			}
			if asked {
				p.Asked.Add(1)
			}
			if failed {
				p.Errors.Add(1)
			}
		},
	}
	return &release.Split{Live: d.live, Candidate: d.candidate, Stage: d.plan.Of, Progress: p, Compare: pair.Note}
}

// compare makes decisions again that another bundle shall be compared by.
func (g *Gateway) compare(ctx context.Context) {
	var at *shadow.Queue
	stop := func() {}
	for ctx.Err() == nil {
		if q := g.lasting.releases.waiting(); q != at {
			stop()
			at = q
			var run context.Context
			run, stop = context.WithCancel(ctx)
			go q.Run(run)
		}
		rest(ctx, look)
	}
	stop()
}

// waiting returns the queue in use, or nil.
func (r *releases) waiting() *shadow.Queue {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.queue
}

func (r *releases) shadowReport() *shadow.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.shadowed
}

func (r *releases) canaryReport() *shadow.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.canaried
}
