// Package splunk sends receipts to a Splunk HTTP Event Collector, and waits
// until its indexers acknowledge them.
package splunk

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/internal/audit/deliver"
	"github.com/sallyport/sallyport/internal/remote"
	"github.com/sallyport/sallyport/internal/sink/web"
)

// Options say where receipts go.
type Options struct {
	Client     *remote.Client // at the root of the collector
	Token      func() (string, error)
	Ack        bool // indexers acknowledge: the token has it enabled
	Index      string
	Source     string
	SourceType string
	Host       string
}

// Sink sends receipts.
type Sink struct {
	o       Options
	channel string
	body    bytes.Buffer
}

// New returns a sink with a channel of its own. It connects when it is used.
func New(o Options) *Sink {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return &Sink{o: o, channel: fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])}
}

// event is the envelope of one receipt.
type event struct {
	Time       json.Number       `json:"time,omitempty"`
	Host       string            `json:"host,omitempty"`
	Source     string            `json:"source,omitempty"`
	SourceType string            `json:"sourcetype,omitempty"`
	Index      string            `json:"index,omitempty"`
	Event      json.RawMessage   `json:"event"`
	Fields     map[string]string `json:"fields"`
}

// answer is what the collector says.
type answer struct {
	Text    string `json:"text"`
	Code    int    `json:"code"`
	AckID   *int64 `json:"ackId"`
	Invalid *int   `json:"invalid-event-number"`
}

// Deliver implements deliver.Sink.
func (s *Sink) Deliver(ctx context.Context, items []*deliver.Item) (deliver.Outcome, error) {
	s.body.Reset()
	enc := json.NewEncoder(&s.body)
	enc.SetEscapeHTML(false)
	for i, it := range items {
		e := event{Host: s.o.Host, Source: s.o.Source, SourceType: s.o.SourceType, Index: s.o.Index, Event: it.Body,
			Fields: map[string]string{"receipt_id": it.ID, "severity": it.Facts.Severity.String(), "kind": string(it.Kind)}}
		if !it.Time.IsZero() {
			e.Time = json.Number(strconv.FormatFloat(float64(it.Time.UnixMicro())/1e6, 'f', 6, 64))
		}
		if err := enc.Encode(e); err != nil { // the body is no JSON: somebody changed the log
			return others(len(items), i, "splunk: "+err.Error()), nil
		}
	}
	r, err := s.post(ctx, "services/collector/event", s.body.Bytes())
	if err != nil {
		return deliver.Outcome{}, err
	}
	var a answer
	_ = json.Unmarshal(r.Body, &a) // a proxy may answer with anything
	if i := a.Invalid; r.Status == http.StatusBadRequest && i != nil && *i >= 0 && *i < len(items) {
		return others(len(items), *i, "splunk: "+web.Words(r.Body)), nil
	}
	if err := web.Check(r); err != nil {
		return deliver.Outcome{}, fmt.Errorf("splunk: %w", err)
	}
	if a.Code != 0 {
		return deliver.Outcome{}, fmt.Errorf("splunk: code %d: %s", a.Code, web.Words([]byte(a.Text)))
	}
	if !s.o.Ack {
		return deliver.Outcome{}, nil
	}
	if a.AckID == nil {
		return deliver.Outcome{}, errors.New("splunk: the collector gives no ackId: enable indexer acknowledgement for the token, or write acknowledge: false")
	}
	return deliver.Outcome{}, s.await(ctx, *a.AckID)
}

// others is the outcome of a batch of which one event is wrong: the collector
// says nothing of the rest, which is sent again without it.
func others(n, wrong int, why string) deliver.Outcome {
	out := deliver.Outcome{Refused: []deliver.Refusal{{Index: wrong, Why: why}}}
	for i := range n {
		if i != wrong {
			out.Again = append(out.Again, i)
		}
	}
	if len(out.Again) > 0 {
		out.Why = errors.New(why)
	}
	return out
}

// await asks until the indexers have a batch, or ctx ends.
func (s *Sink) await(ctx context.Context, id int64) error {
	question := fmt.Appendf(nil, `{"acks":[%d]}`, id)
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		r, err := s.post(ctx, "services/collector/ack", question)
		if err == nil {
			err = web.Check(r)
		}
		if err != nil {
			return fmt.Errorf("splunk: ack: %w", err)
		}
		var a struct{ Acks map[string]bool }
		if err := json.Unmarshal(r.Body, &a); err != nil {
			return fmt.Errorf("splunk: ack: %w", err)
		}
		if a.Acks[strconv.FormatInt(id, 10)] {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("splunk: the indexers have not acknowledged in time: %w", ctx.Err())
		case <-time.After(wait):
		}
	}
}

func (s *Sink) post(ctx context.Context, path string, body []byte) (*remote.Reply, error) {
	token, err := s.o.Token()
	if err != nil {
		return nil, fmt.Errorf("splunk: token: %w", err)
	}
	header := http.Header{"Authorization": {"Splunk " + token}, "Content-Type": {"application/json"}}
	header.Set("X-Splunk-Request-Channel", s.channel)
	r, err := s.o.Client.Post(ctx, path, header, body)
	if err != nil {
		return nil, fmt.Errorf("splunk: %w", err)
	}
	return r, nil
}

// Close implements deliver.Sink.
func (s *Sink) Close() error {
	s.o.Client.Close()
	return nil
}
