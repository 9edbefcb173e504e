package redis

import (
	"context"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard/loop"
	"github.com/sallyport/sallyport/integration/testenv"
	"github.com/sallyport/sallyport/internal/recent"
)

func TestGossipReadsWhatItWrites(t *testing.T) {
	events := []loop.Event{
		{Call: recent.Key{1}, Tool: recent.Key{2}, Caller: recent.Key{3}, Conversation: recent.Key{4}, Agent: 5, Answer: 6, Failed: true, At: 900},
		{Call: recent.Key{15: 1}, At: 2000},
	}
	b := encode(7, 1000, events)
	name, got, ok := decode(b)
	events[0].At, events[1].At = -100, 0
	if !ok || name != 7 || !reflect.DeepEqual(got, events) {
		t.Errorf("%v %d %+v", ok, name, got)
	}
	for n := range b {
		if _, got, ok := decode(b[:n]); ok && len(got) == len(events) {
			t.Errorf("%d bytes are enough", n)
		}
	}
	b[0]++
	if _, _, ok := decode(b); ok {
		t.Error("another version is read")
	}
}

// listener is one replica and what it heard.
type listener struct {
	*Gossip
	mu    sync.Mutex
	heard []loop.Event
}

func (l *listener) list() []loop.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]loop.Event(nil), l.heard...)
}

func gossip(t *testing.T, address string, clock func() time.Time) *listener {
	t.Helper()
	l := new(listener)
	s := Connect(Options{Addresses: []string{address}, Timeout: 5 * time.Second, Prefix: "test"})
	l.Gossip = s.Gossip(clock, func(e loop.Event) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.heard = append(l.heard, e)
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		_ = s.Close()
	})
	return l
}

func TestReplicasHearWhatOthersTell(t *testing.T) {
	r := testenv.StartRedis(t)
	one := gossip(t, r.Address, time.Now)
	wrong := gossip(t, r.Address, func() time.Time { return time.Now().Add(-time.Hour) }) // whose clock is an hour late
	for i := range 1200 {
		one.Tell(loop.Event{Answer: uint64(i), At: time.Now().UnixMilli()})
	}
	testenv.Eventually(t, time.Minute, "the other hears it", func() bool { return len(wrong.list()) == 1200 })
	for i, e := range wrong.list() {
		if late := time.Now().Add(-time.Hour).UnixMilli() - e.At; e.Answer != uint64(i) || late < -1000 || late > 60_000 {
			t.Fatalf("event %d is %d, %d ms ago by the clock of the one that hears it", i, e.Answer, late)
		}
	}
	wrong.Tell(loop.Event{Answer: 5000, At: time.Now().Add(-time.Hour).UnixMilli()})
	testenv.Eventually(t, time.Minute, "and the first the other", func() bool { return len(one.list()) == 1 })
	// One that begins later hears what was told before.
	late := gossip(t, r.Address, time.Now)
	testenv.Eventually(t, time.Minute, "a new replica learns", func() bool { return len(late.list()) == 1201 })
	if n := len(one.list()); n != 1 {
		t.Errorf("a replica heard %d events, among them its own", n)
	}

	// While Redis is away, nothing waits and nothing grows without bound.
	r.Stop()
	testenv.Eventually(t, time.Minute, "the trouble is known", func() bool { return one.Trouble() != "" })
	for range gossipMost + 100 {
		one.Tell(loop.Event{})
	}
	if _, _, lost := one.Counts(); lost < 100 {
		t.Errorf("%d lost", lost)
	}
	r.Start(t)
	testenv.Eventually(t, time.Minute, "talk goes on", func() bool {
		one.Tell(loop.Event{Answer: 9999})
		for _, e := range late.list() {
			if e.Answer == 9999 {
				return true
			}
		}
		return false
	})
}
