package redis

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport/guard/loop"
)

// Gossip has replicas tell each other which calls came to their end, through one
// stream. No call waits for it: what is told is late by a moment, and lost while
// Redis is away. Somebody has to Run it.
type Gossip struct {
	o      Options
	client redis.UniversalClient
	name   uint64 // of this replica
	now    func() time.Time
	learn  func(loop.Event)
	last   string // id of what was read last
	trips  atomic.Uint64
	heard  atomic.Uint64
	lost   atomic.Uint64
	why    atomic.Pointer[error]

	mu   sync.Mutex
	told []loop.Event // to be sent
}

// Gossip returns one that calls learn, from one goroutine, for what other replicas
// tell.
func (s *Shared) Gossip(now func() time.Time, learn func(loop.Event)) *Gossip {
	return &Gossip{o: s.o, client: s.client, name: rand.Uint64(), now: now, learn: learn} //nolint:gosec // a name, no secret
}

const (
	gossipEvery  = 100 * time.Millisecond
	gossipPause  = 2 * time.Second  // after a failure
	gossipKeep   = 2 * time.Minute  // how far back a replica reads that begins
	gossipMost   = 10_000           // events that may wait to be sent
	gossipBatch  = 500              // events in one entry of the stream
	gossipLength = 2_000            // entries of the stream, more or less
	gossipEvent  = 4*16 + 4 + 8 + 1 // and how long ago, as four bytes
	gossipFormat = 1
)

// Tell sends an event to the others, later.
func (g *Gossip) Tell(e loop.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.told) >= gossipMost {
		g.lost.Add(1)
		return
	}
	g.told = append(g.told, e)
}

// Run tells and listens until ctx ends.
func (g *Gossip) Run(ctx context.Context) {
	pause := gossipEvery
	for {
		// Replicas that began together do not ask together.
		t := time.NewTimer(pause/2 + rand.N(pause)) //nolint:gosec // spreads the load, hides nothing
		select {
		case <-ctx.Done():
			t.Stop()
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.o.Timeout)
			_ = g.exchange(last)
			cancel()
			return
		case <-t.C:
		}
		one, cancel := context.WithTimeout(ctx, 4*g.o.Timeout)
		err := g.exchange(one)
		cancel()
		if pause = gossipEvery; err != nil && ctx.Err() == nil {
			g.why.Store(&err)
			pause = gossipPause
		} else {
			g.why.Store(nil)
		}
	}
}

// Trouble returns why Redis is not asked at the moment, or "".
func (g *Gossip) Trouble() string {
	if why := g.why.Load(); why != nil {
		return (*why).Error()
	}
	return ""
}

// Counts returns trips to Redis, events heard from others, and events that could
// not be told.
func (g *Gossip) Counts() (trips, heard, lost uint64) {
	return g.trips.Load(), g.heard.Load(), g.lost.Load()
}

func (g *Gossip) key() string { return g.o.Prefix + ":loop" }

// exchange tells what there is to tell, and hears what others told, in one trip.
func (g *Gossip) exchange(ctx context.Context) error {
	g.trips.Add(1)
	if g.last == "" {
		at, err := g.client.Time(ctx).Result()
		if err != nil {
			return fmt.Errorf("redis: gossip: %w", err)
		}
		g.last = strconv.FormatInt(at.Add(-gossipKeep).UnixMilli(), 10) + "-0"
	}
	g.mu.Lock()
	told := g.told
	g.told = nil
	g.mu.Unlock()
	p := g.client.Pipeline()
	sent := g.now().UnixMilli()
	for rest := told; len(rest) > 0; {
		n := min(len(rest), gossipBatch)
		p.XAdd(ctx, &redis.XAddArgs{Stream: g.key(), MaxLen: gossipLength, Approx: true, Values: []any{"e", encode(g.name, sent, rest[:n])}})
		rest = rest[n:]
	}
	if len(told) > 0 {
		p.Expire(ctx, g.key(), 2*gossipKeep)
	}
	clock := p.Time(ctx)
	news := p.XRead(ctx, &redis.XReadArgs{Streams: []string{g.key(), g.last}, Count: 1000, Block: -1})
	if _, err := p.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		g.lost.Add(uint64(len(told))) // some may have been told; telling them again would count them twice
		return fmt.Errorf("redis: gossip: %w", err)
	}
	streams, err := news.Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("redis: gossip: %w", err)
	}
	ahead := g.now().UnixMilli() - clock.Val().UnixMilli() // of Redis' clock
	for _, s := range streams {
		for _, m := range s.Messages {
			g.hear(m, ahead)
		}
	}
	return nil
}

func (g *Gossip) hear(m redis.XMessage, ahead int64) {
	g.last = m.ID
	stamp, _, _ := strings.Cut(m.ID, "-")
	at, err := strconv.ParseInt(stamp, 10, 64)
	text, _ := m.Values["e"].(string)
	from, events, ok := decode([]byte(text))
	if err != nil || !ok || from == g.name {
		return // of another version, or our own
	}
	for _, e := range events {
		e.At += at + ahead
		g.learn(e)
	}
	g.heard.Add(uint64(len(events)))
}

// encode writes events with how long ago they were when they were sent, so that
// replicas' clocks do not matter.
func encode(name uint64, sent int64, events []loop.Event) []byte {
	b := make([]byte, 0, 9+len(events)*(gossipEvent+4))
	b = binary.BigEndian.AppendUint64(append(b, gossipFormat), name)
	for i := range events {
		e := &events[i]
		b = append(append(append(append(b, e.Call[:]...), e.Tool[:]...), e.Caller[:]...), e.Conversation[:]...)
		b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(b, e.Agent), e.Answer)
		failed := byte(0)
		if e.Failed {
			failed = 1
		}
		b = binary.BigEndian.AppendUint32(append(b, failed), uint32(min(max(sent-e.At, 0), 1<<31)))
	}
	return b
}

// decode reads what encode wrote. At is how long ago, below zero.
func decode(b []byte) (name uint64, events []loop.Event, ok bool) {
	const size = gossipEvent + 4
	if len(b) < 9 || b[0] != gossipFormat || (len(b)-9)%size != 0 || len(b) > 9+gossipBatch*size {
		return 0, nil, false
	}
	name = binary.BigEndian.Uint64(b[1:])
	for b = b[9:]; len(b) > 0; b = b[size:] {
		e := loop.Event{
			Agent: binary.BigEndian.Uint32(b[64:]), Answer: binary.BigEndian.Uint64(b[68:]),
			Failed: b[76] == 1, At: -int64(binary.BigEndian.Uint32(b[77:])),
		}
		copy(e.Call[:], b)
		copy(e.Tool[:], b[16:])
		copy(e.Caller[:], b[32:])
		copy(e.Conversation[:], b[48:])
		events = append(events, e)
	}
	return name, events, true
}
