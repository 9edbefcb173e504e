// Package critic asks a service over HTTP for a second opinion on texts that look
// like injections. It implements the port of guard/injection.
package critic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/sallyport/sallyport/guard/injection"
	"github.com/sallyport/sallyport/internal/remote"
)

// When a service that fails is left alone.
const (
	failures = 5               // in a row
	pause    = 5 * time.Second // then one question finds out whether it is back
)

// MaxReply is the longest reply, in bytes.
const MaxReply = 64 << 10

// Client asks one service. It is for any number of goroutines.
type Client struct {
	remote  *remote.Client
	timeout time.Duration
	slots   chan struct{}
	now     func() time.Time

	mu     sync.Mutex
	failed int
	until  time.Time // nobody asks before
}

// New returns a client with so many questions under way at once.
func New(r *remote.Client, timeout time.Duration, concurrency int, now func() time.Time) *Client {
	return &Client{remote: r, timeout: timeout, slots: make(chan struct{}, concurrency), now: now}
}

type question struct {
	Kind  string  `json:"kind"`
	Text  string  `json:"text"`
	Score float64 `json:"score"`
}

type opinion struct {
	Score      *float64 `json:"score"`
	Confidence *float64 `json:"confidence"`
}

// Ask implements injection.Asker.
func (c *Client) Ask(ctx context.Context, q []injection.Question) ([]injection.Opinion, error) {
	if err := c.open(); err != nil {
		return nil, err
	}
	within, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-within.Done():
		c.release()
		return nil, errors.New("critic: too many questions are under way")
	}
	out, err := c.ask(within, q)
	c.note(err, ctx.Err() != nil)
	if err != nil {
		return nil, fmt.Errorf("critic: %w", err)
	}
	return out, nil
}

func (c *Client) ask(ctx context.Context, q []injection.Question) ([]injection.Opinion, error) {
	body := struct {
		Texts []question `json:"texts"`
	}{make([]question, len(q))}
	for i := range q {
		body.Texts[i] = question(q[i])
	}
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	r, err := c.remote.Post(ctx, "", http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}}, b)
	switch {
	case ctx.Err() != nil:
		return nil, errors.New("no answer in time")
	case err != nil:
		return nil, err
	case r.Status != http.StatusOK:
		return nil, fmt.Errorf("HTTP status %d", r.Status)
	}
	var reply struct {
		Opinions []opinion `json:"opinions"`
	}
	if err := json.Unmarshal(r.Body, &reply); err != nil {
		return nil, errors.New("the reply is not the JSON that is due")
	}
	if len(reply.Opinions) != len(q) {
		return nil, fmt.Errorf("%d opinions for %d texts", len(reply.Opinions), len(q))
	}
	out := make([]injection.Opinion, len(q))
	for i, o := range reply.Opinions {
		if o.Confidence == nil {
			certain := 1.0
			o.Confidence = &certain
		}
		if o.Score == nil || !(*o.Score >= 0 && *o.Score <= 1) || !(*o.Confidence >= 0 && *o.Confidence <= 1) {
			return nil, errors.New("a score or confidence is not between 0 and 1")
		}
		out[i] = injection.Opinion{Score: *o.Score, Confidence: *o.Confidence}
	}
	return out, nil
}

// open reports why the service is left alone, or takes the one question that
// finds out whether it is back.
func (c *Client) open() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed < failures {
		return nil
	}
	now := c.now()
	if now.Before(c.until) {
		return fmt.Errorf("critic: not asked, because it failed %d times in a row", c.failed)
	}
	c.until = now.Add(max(pause, c.timeout))
	return nil
}

// release lets another question find out, when this one could not.
func (c *Client) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed >= failures {
		c.until = time.Time{}
	}
}

// note counts failures. A question that its asker gave up says nothing of the
// service.
func (c *Client) note(err error, given bool) {
	if err != nil && given {
		c.release()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.failed = 0
		return
	}
	if c.failed++; c.failed >= failures {
		c.until = c.now().Add(pause)
	}
}
