package shadow

import (
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/policy"
)

func TestCallersCannotFillTheMemoryWithLargeParams(t *testing.T) {
	allow := answers(&policy.Decision{Allow: true}, nil)
	pair := &Pair{Base: allow, Other: allow, Queue: NewQueue(1000), Sample: 1, Report: NewReport("a", "b", time.Now())}
	in := &policy.Input{Principal: &guard.Principal{}, Server: &guard.Server{}, Params: make([]byte, 16<<20)}
	note := func() { pair.Note(false, policy.Call, in, &policy.Decision{Allow: true}, nil) }
	for range 6 {
		note()
	}
	if n := pair.Queue.Dropped(); n != 2 || len(pair.Queue.tasks) != 4 {
		t.Errorf("%d dropped, and %d wait", n, len(pair.Queue.tasks))
	}
	run(pair.Queue)
	if held := pair.Queue.held.Load(); held != 0 {
		t.Errorf("%d bytes are held", held)
	}
	note()
	if n := pair.Queue.Dropped(); n != 2 {
		t.Errorf("%d dropped although there is room again", n)
	}
}
