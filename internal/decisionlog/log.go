// Package decisionlog ships decisions of policies to a service that takes OPA's
// decision logs. It stands beside the receipts, which are the evidence: what
// cannot be shipped in time is dropped and counted, and refuses no traffic.
package decisionlog

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/remote"
)

// Options say where decisions go.
type Options struct {
	Client    *remote.Client
	Labels    map[string]string // of this process, in each event
	Arguments bool              // ship arguments and params too
	Every     time.Duration     // how long an event waits for others
	Buffer    int               // bytes of events that may wait
	Timeout   time.Duration     // of one upload
	Log       *slog.Logger
}

// Log takes decisions and ships them while Run runs.
type Log struct {
	Options
	labels []byte

	mu      sync.Mutex
	waiting [][]byte // events, oldest first
	size    int
	status  Status
	full    chan struct{} // there is enough for an upload
}

// Status tells how shipping goes.
type Status struct {
	Sent    uint64 `json:"sent"`
	Dropped uint64 `json:"dropped"`
	Waiting int    `json:"waiting"`
	Error   string `json:"error,omitempty"` // of the last upload
}

// New returns a log.
func New(o Options) (*Log, error) {
	labels, err := encodeLabels(o.Labels)
	if err != nil {
		return nil, err
	}
	return &Log{Options: o, labels: labels, full: make(chan struct{}, 1)}, nil
}

// chunk is how many bytes of events go into one upload, more or less.
const chunk = 512 << 10

// add takes one event, unless too much waits.
func (l *Log) add(event []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size+len(event) > l.Buffer {
		l.status.Dropped++
		return
	}
	l.waiting, l.size = append(l.waiting, event), l.size+len(event)
	if l.size >= chunk {
		select {
		case l.full <- struct{}{}:
		default:
		}
	}
}

// Status returns how shipping goes.
func (l *Log) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.status
	s.Waiting = len(l.waiting)
	return s
}

// last bounds the upload at the end.
const last = 3 * time.Second

// Run ships until ctx ends, and then once more what waits.
func (l *Log) Run(ctx context.Context) {
	failures := 0
	for {
		wait := l.Every
		if failures > 0 {
			wait = min(time.Second<<min(failures, 6), time.Minute)
		}
		t := time.NewTimer(wait - wait/4 + rand.N(wait/2+1)) //nolint:gosec // spreads load, hides nothing
		full := l.full
		if failures > 0 {
			full = nil // whoever is in trouble is given time
		}
		select {
		case <-ctx.Done():
			t.Stop()
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), last)
			_ = l.ship(end) // what it could not ship is counted with the process
			cancel()
			return
		case <-t.C:
		case <-full:
			t.Stop()
		}
		err := l.ship(ctx)
		if ctx.Err() != nil {
			continue
		}
		l.note(err, failures)
		if failures++; err == nil {
			failures = 0
		}
	}
}

// note says when shipping begins or ceases to fail.
func (l *Log) note(err error, failures int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.Error = ""
	switch {
	case err != nil:
		l.status.Error = err.Error()
		if failures == 0 {
			l.Log.Error("decision logs cannot be shipped", "err", err)
		}
	case failures > 0:
		l.Log.Info("decision logs are shipped again")
	}
}

// ship uploads all that waits, in order.
func (l *Log) ship(ctx context.Context) error {
	for {
		n := l.next()
		if n == 0 {
			return nil
		}
		if err := l.upload(ctx, n); err != nil {
			return err
		}
	}
}

// next returns how many events the next upload has.
func (l *Log) next() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	size := 0
	for n, e := range l.waiting {
		if size += len(e); n > 0 && size > chunk {
			return n
		}
	}
	return len(l.waiting)
}

var errRefused = errors.New("the service refuses these events for good")

// upload ships the first n events. What the service finds too large is halved,
// and what it will never take is dropped, so that one event does not stop all.
func (l *Log) upload(ctx context.Context, n int) error {
	for {
		err := l.post(ctx, n)
		var bad *status
		switch {
		case err == nil:
			l.done(n, true)
			return nil
		case errors.As(err, &bad) && bad.code == http.StatusRequestEntityTooLarge && n > 1:
			n /= 2
		case errors.As(err, &bad) && (bad.code == http.StatusRequestEntityTooLarge || bad.code == http.StatusBadRequest || bad.code == http.StatusUnprocessableEntity):
			l.done(n, false)
			return fmt.Errorf("%w: %w", errRefused, err)
		default:
			return err
		}
	}
}

func (l *Log) done(n int, sent bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.waiting[:n] {
		l.size -= len(e)
	}
	l.waiting = append([][]byte(nil), l.waiting[n:]...)
	if sent {
		l.status.Sent += uint64(n)
	} else {
		l.status.Dropped += uint64(n)
	}
}

// status is an answer that is no success.
type status struct{ code int }

func (s *status) Error() string { return fmt.Sprintf("the service answers with status %d", s.code) }

func (l *Log) post(ctx context.Context, n int) error {
	l.mu.Lock()
	events := l.waiting[:n:n]
	l.mu.Unlock()
	var body bytes.Buffer
	z := gzip.NewWriter(&body)
	_, err := z.Write([]byte{'['})
	for i, e := range events {
		if i > 0 {
			_, _ = z.Write([]byte{','}) // to memory
		}
		_, _ = z.Write(e)
	}
	_, _ = z.Write([]byte{']'})
	if err := errors.Join(err, z.Close()); err != nil {
		return fmt.Errorf("decisionlog: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, l.Timeout)
	defer cancel()
	r, err := l.Client.Post(ctx, "logs", http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}}, body.Bytes())
	switch {
	case err != nil:
		return fmt.Errorf("decisionlog: %w", err)
	case r.Status < 200 || r.Status > 299:
		return fmt.Errorf("decisionlog: %w", &status{r.Status})
	}
	return nil
}
