package redis

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

func words(all []Replica) string {
	var out []string
	for _, r := range all {
		out = append(out, r.Name+"="+string(r.Says))
	}
	return strings.Join(out, " ")
}

func TestReplicasHearEachOtherAndForgetWhoIsGone(t *testing.T) {
	t.Parallel() // it waits more than it computes, with servers of its own
	server := testenv.StartRedis(t)
	o := Options{Addresses: []string{server.Address}, Timeout: 5 * time.Second, Prefix: "p"}
	one, two := Connect(o), Connect(o)
	defer one.Close()
	defer two.Close()
	a, b := one.Roster("a"), two.Roster("b")
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	heard := make(chan []Replica, 100)
	all.Go(func() {
		a.Run(t.Context(), func() []byte { return []byte(`{"x":1}`) }, func(l []Replica) { heard <- l })
	})
	all.Go(func() { b.Run(ctx, func() []byte { return []byte(`{}`) }, func([]Replica) {}) })
	testenv.Eventually(t, time.Minute, "both", func() bool { l, err := a.All(); return err == nil && words(l) == `a={"x":1} b={}` })
	if len(heard) == 0 {
		t.Error("nobody was told")
	}
	stop() // it leaves in order
	testenv.Eventually(t, time.Minute, "its leave", func() bool { l, _ := a.All(); return words(l) == `a={"x":1}` })
	// One that dies is forgotten, and words that nobody understands are, too.
	c := connect(o)
	defer c.Close()
	if err := c.HSet(t.Context(), "p:roster", "dead", "1000 {}", "odd", "what").Err(); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, time.Minute, "the dead to be forgotten", func() bool {
		n, err := c.HLen(t.Context(), "p:roster").Result()
		return err == nil && n == 1
	})
	server.Stop()
	testenv.Eventually(t, time.Minute, "the outage", func() bool { l, err := a.All(); return err != nil && len(l) == 1 })
	server.Start(t)
	testenv.Eventually(t, time.Minute, "the return", func() bool { l, err := a.All(); return err == nil && len(l) == 1 })
}
