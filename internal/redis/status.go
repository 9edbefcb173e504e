package redis

// Status tells how counting goes.
type Status struct {
	Trouble     string // why Redis is not asked at the moment; empty when it is
	Replicas    int    // that were counted last
	Keys        int    // leases and counters that this replica keeps
	Trips       uint64
	Failures    uint64
	Opened      uint64 // times that Redis was given up
	Unshared    uint64 // calls admitted by on_error allow or local
	Unavailable uint64 // calls refused by on_error deny
	Crowded     uint64 // local counters shared for want of room
	Lost        uint64 // calls that could not be given back
}

// Status returns how counting goes.
func (l *Limiter) Status() Status {
	s := Status{
		Replicas: int(l.replicas.Load()), Keys: l.leases.Len() + l.holds.Len() + l.local.Keys(),
		Trips: l.counts.trips.Load(), Failures: l.counts.failures.Load(), Opened: l.once.Load(),
		Unshared: l.counts.unshared.Load(), Unavailable: l.counts.refused.Load(),
		Crowded: l.local.Crowded() + l.counts.crowded.Load(), Lost: l.counts.lost.Load(),
	}
	if why := l.open(); why != nil {
		s.Trouble = why.Error()
	}
	return s
}
