package load

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// schedule returns how many calls an open loop makes at most. The channel of
// due calls holds them all, so that the clock never waits for the callers.
func schedule(p Plan) int { return int(p.Rate*(p.Warmup+p.Duration).Seconds()) + 1 }

// maxScheduled is the largest number of calls that one open loop may make.
const maxScheduled = 50_000_000

// pace makes calls due at a fixed rate: call n is due at begin + n / rate.
//
// Go's timers are up to a millisecond late on a machine that is idle enough for
// its scheduler to wait in epoll, and that would show in every latency. So the
// clock is a thread of its own in nanosleep(2), whose slack is turned down.
func (r *run) pace(begin time.Time) {
	defer close(r.due)
	runtime.LockOSThread()
	// The thread must not end with the goroutine: the kernel would end our child
	// processes with it (PR_SET_PDEATHSIG). So it is given back, as it was.
	defer runtime.UnlockOSThread()
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err == nil && unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) == nil {
		defer func() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack), 0, 0, 0) }()
	}
	step := float64(time.Second) / r.Rate
	for n := 0; ; n++ {
		due := begin.Add(time.Duration(float64(n) * step))
		if !due.Before(r.to) {
			return
		}
		for wait := time.Until(due); wait > 0; wait = time.Until(due) {
			if r.ctx.Err() != nil {
				return
			}
			t := unix.NsecToTimespec(int64(min(wait, 100*time.Millisecond)))
			_ = unix.Nanosleep(&t, nil) // woken early, it sleeps again
		}
		r.due <- due
	}
}
