package trace

import (
	"context"
	"fmt"
	"time"

	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
)

// Uploader sends spans to a receiver. UploadTraces may take as long as its context
// allows, and is called by one goroutine at a time.
type Uploader interface {
	UploadTraces(ctx context.Context, spans []*tracev1.ResourceSpans) error
}

const (
	maxBatch = 256         // exchanges in one batch
	interval = time.Second // between batches, where none is full before
)

// run sends what is kept until Close is called.
func (t *Tracer) run() {
	defer close(t.done)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var spans []*tracev1.Span
	for {
		select {
		case rec := <-t.queue:
			if spans = append(spans, t.finish(rec)); len(spans) >= maxBatch {
				t.send(spans, time.Now().Add(-settling))
				spans = nil
			}
		case now := <-tick.C:
			t.send(spans, now.Add(-settling))
			spans = nil
		case <-t.quit:
			for {
				select {
				case rec := <-t.queue:
					spans = append(spans, t.finish(rec))
					continue
				default:
				}
				t.send(spans, time.Now())
				return
			}
		}
	}
}

// finish makes a span of a record, which then serves another exchange.
func (t *Tracer) finish(rec *record) *tracev1.Span {
	s := rec.span()
	t.pool.Put(rec)
	return s
}

// send sends spans, and those of the proxy that came before the time.
func (t *Tracer) send(spans []*tracev1.Span, before time.Time) {
	list, n := t.relay.ready(before)
	if len(spans) > 0 {
		scope := &commonv1.InstrumentationScope{Name: "github.com/sallyport/sallyport"}
		list = append(list, &tracev1.ResourceSpans{Resource: t.o.Resource, ScopeSpans: []*tracev1.ScopeSpans{{Scope: scope, Spans: spans}}})
		n += len(spans)
	}
	if n == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), t.o.Timeout)
	defer cancel()
	err := t.o.Upload.UploadTraces(ctx, list)
	if err != nil {
		t.failed.Add(uint64(n))
		if !t.broken {
			t.o.Log.Warn("traces cannot be sent", "err", err)
		}
	} else {
		t.sent.Add(uint64(n))
		if t.broken {
			t.o.Log.Info("traces are sent again")
		}
	}
	t.broken = err != nil
}

// Close sends what is kept and ends the sender. Exchanges must have ended.
func (t *Tracer) Close(ctx context.Context) error {
	close(t.quit)
	select {
	case <-t.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("trace: close: %w", ctx.Err())
	}
}
