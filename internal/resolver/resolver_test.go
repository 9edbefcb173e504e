package resolver

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"
)

func TestAnswersAreKeptForAWhileAndFailuresAreNot(t *testing.T) {
	now := time.Unix(0, 0)
	calls := 0
	r := with(func(_ context.Context, host string) ([]netip.Addr, error) {
		calls++
		switch host {
		case "gone.example":
			return nil, &net.DNSError{IsNotFound: true}
		case "broken.example":
			return nil, errors.New("no server answers")
		}
		return []netip.Addr{netip.MustParseAddr("::ffff:192.0.2.1")}, nil
	}, keep, func() time.Time { return now })
	for host, want := range map[string]bool{"a.example": true, "gone.example": true, "broken.example": false} {
		_, _ = r.Lookup(context.Background(), host)
		if _, ok := r.Known(host); ok != want {
			t.Errorf("%s: known %v", host, ok)
		}
	}
	if a, _ := r.Known("a.example"); a[0] != netip.MustParseAddr("192.0.2.1") {
		t.Errorf("%v", a)
	}
	if now = now.Add(keep + 1); true {
		if _, ok := r.Known("a.example"); ok {
			t.Error("an old answer is still known")
		}
	}
	for i := range 3 * limit {
		_, _ = r.Lookup(context.Background(), strconv.Itoa(i))
	}
	if len(r.names) > limit {
		t.Errorf("%d names are kept", len(r.names))
	}
}
