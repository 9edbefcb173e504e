package splunk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/audit/deliver"
	"github.com/sallyport/sallyport/internal/remote"
)

// collector is a double of the HTTP Event Collector with acknowledgement: a
// batch is indexed, and acknowledged, at the second question about it.
type collector struct {
	mu      sync.Mutex
	url     string
	waiting map[int64][]event
	asked   map[int64]int
	indexed []event
	next    int64
	never   bool // the indexers are down
}

func start(t *testing.T) *collector {
	t.Helper()
	c := &collector{waiting: make(map[int64][]event), asked: make(map[int64]int)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /services/collector/event", c.events)
	mux.HandleFunc("POST /services/collector/ack", c.acks)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	c.url = srv.URL
	return c
}

func (c *collector) events(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case r.Header.Get("Authorization") != "Splunk t0ken":
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"text":"Invalid token","code":4}`))
		return
	case len(r.Header.Get("X-Splunk-Request-Channel")) != 36:
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"text":"Data channel is missing","code":10}`))
		return
	}
	var all []event
	for d := json.NewDecoder(r.Body); d.More(); {
		var e event
		if err := d.Decode(&e); err != nil || strings.Contains(string(e.Event), "poison") {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"text":"Invalid data format","code":6,"invalid-event-number":%d}`, len(all))
			return
		}
		all = append(all, e)
	}
	c.waiting[c.next] = all
	fmt.Fprintf(w, `{"text":"Success","code":0,"ackId":%d}`, c.next)
	c.next++
}

func (c *collector) acks(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var q struct{ Acks []int64 }
	_ = json.NewDecoder(r.Body).Decode(&q)
	id := q.Acks[0]
	c.asked[id]++
	done := c.asked[id] > 1 && !c.never
	if done {
		c.indexed = append(c.indexed, c.waiting[id]...)
	}
	fmt.Fprintf(w, `{"acks":{"%d":%v}}`, id, done)
}

func (c *collector) sink(t *testing.T, token string) *Sink {
	t.Helper()
	client, err := remote.New(remote.Options{URL: c.url, MaxReply: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{Client: client, Token: func() (string, error) { return token, nil }, Ack: true, Index: "mcp", SourceType: "sallyport:receipt"})
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func items(texts ...string) (out []*deliver.Item) {
	for i, t := range texts {
		out = append(out, &deliver.Item{ID: fmt.Sprintf("r-%d", i), Time: time.UnixMicro(1700000000123456), Body: []byte(t)})
	}
	return out
}

func TestAReceiptIsDeliveredWhenTheIndexersSaySo(t *testing.T) {
	c := start(t)
	if out, err := c.sink(t, "t0ken").Deliver(context.Background(), items(`{"a":"<1>"}`, `{"a":2}`)); err != nil || len(out.Refused)+len(out.Again) > 0 {
		t.Fatal(out, err)
	}
	if len(c.indexed) != 2 || string(c.indexed[0].Event) != `{"a":"<1>"}` || c.indexed[0].Time != "1700000000.123456" || c.indexed[1].Fields["receipt_id"] != "r-1" || c.indexed[0].Index != "mcp" {
		t.Errorf("%+v", c.indexed)
	}
	c.never = true
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if _, err := c.sink(t, "t0ken").Deliver(ctx, items(`{}`)); err == nil || errors.Is(err, deliver.ErrRefused) {
		t.Error("indexers that are down have taken it:", err)
	}
}

func TestTheEventThatIsWrongIsNamedAndTheOthersComeAgain(t *testing.T) {
	c := start(t)
	out, err := c.sink(t, "t0ken").Deliver(context.Background(), items(`{}`, `{"poison":1}`, `{}`))
	if err != nil || len(out.Refused) != 1 || out.Refused[0].Index != 1 || len(out.Again) != 2 || len(c.indexed) != 0 {
		t.Errorf("%+v, %v", out, err)
	}
	out, err = c.sink(t, "t0ken").Deliver(context.Background(), items(`{}`, `{"no json`))
	if err != nil || len(out.Refused) != 1 || out.Refused[0].Index != 1 {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestAWrongTokenIsNoFaultOfTheReceipts(t *testing.T) {
	c := start(t)
	_, err := c.sink(t, "s3cret").Deliver(context.Background(), items(`{}`))
	if err == nil || errors.Is(err, deliver.ErrRefused) || strings.Contains(err.Error(), "s3cret") {
		t.Error(err)
	}
}
