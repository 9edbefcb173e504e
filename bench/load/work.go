package load

import "time"

// work makes the calls of one connection until its time is over.
func (r *run) work(i int, c Caller) {
	defer func() {
		if c != nil {
			c.Close()
		}
	}()
	out := r.out.shard(i)
	for r.ctx.Err() == nil {
		due, ok := r.next()
		if !ok {
			return
		}
		if c == nil {
			if c = r.again(i, due); c == nil {
				continue
			}
		}
		sent := time.Now()
		err := c.Call()
		done := time.Now()
		counted := !due.Before(r.from)
		switch {
		case err == nil:
			if !done.Before(r.from) && done.Before(r.to) {
				r.completed.Add(1)
			}
			if counted {
				out.record(done.Sub(due), sent.Sub(due))
			}
		case r.ctx.Err() != nil:
			if counted {
				r.out.fail(Unfinished, err)
			}
		default:
			if counted {
				r.out.fail(r.kind(err), err)
			}
			if r.Lost != nil && r.Lost(err) {
				c.Close()
				c = nil
			}
		}
	}
}

// next returns when the next call of a connection is due, and false after the
// last one.
func (r *run) next() (time.Time, bool) {
	if r.due == nil {
		now := time.Now()
		return now, now.Before(r.to)
	}
	due, ok := <-r.due
	return due, ok
}

// again replaces a caller that was lost. A call that was due and could not be
// made for that counts as an error.
func (r *run) again(i int, due time.Time) Caller {
	c, err := r.dial(r.ctx, i)
	if err == nil {
		return c
	}
	if !due.Before(r.from) {
		r.out.fail(r.kind(err), err)
	}
	if r.due == nil { // a closed loop would spin
		r.sleepUntil(time.Now().Add(50 * time.Millisecond))
	}
	return nil
}

func (r *run) kind(err error) string {
	if r.Kind == nil {
		return "failed"
	}
	return r.Kind(err)
}
