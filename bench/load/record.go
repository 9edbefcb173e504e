package load

import (
	"maps"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Histograms count nanoseconds, to three digits, from 64 ns to two minutes.
const (
	lowest  = 100
	highest = int64(2 * time.Minute)
	digits  = 3
)

// NewHistogram returns an empty histogram of the kind that results have.
func NewHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(lowest, highest, digits) }

// shards is how many histograms are written in parallel. One per connection
// would take 300 KB each.
const shards = 8

type recorder struct {
	shards [shards]shard

	mu     sync.Mutex
	errors map[string]int64
	first  error
}

type shard struct {
	mu           sync.Mutex
	latency, lag *hdrhistogram.Histogram
}

func newRecorder() *recorder {
	r := &recorder{errors: map[string]int64{}}
	for i := range r.shards {
		r.shards[i].latency, r.shards[i].lag = NewHistogram(), NewHistogram()
	}
	return r
}

func (r *recorder) shard(i int) *shard { return &r.shards[i%shards] }

func (s *shard) record(latency, lag time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.latency.RecordValue(clamp(latency)) // in range, so there is no error
	_ = s.lag.RecordValue(clamp(lag))
}

func clamp(d time.Duration) int64 { return min(max(int64(d), lowest), highest) }

func (r *recorder) fail(kind string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errors[kind]++
	if r.first == nil {
		r.first = err
	}
}

func (r *recorder) result(elapsed time.Duration, completed int64) *Result {
	out := &Result{Elapsed: elapsed, Completed: completed, Latency: NewHistogram(), Lag: NewHistogram()}
	for i := range r.shards {
		out.Latency.Merge(r.shards[i].latency)
		out.Lag.Merge(r.shards[i].lag)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	out.Errors, out.First = maps.Clone(r.errors), r.first
	return out
}
