package redis

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport/internal/revocation"
)

var (
	//go:embed revoke.lua
	revokeSource string
	//go:embed sweep.lua
	sweepSource string

	revokeScript = redis.NewScript(revokeSource)
	sweepScript  = redis.NewScript(sweepSource)
)

// Revocations is the list of revocations that replicas share: one hash, whose
// fields are the entries, and beside them its epoch and version. It implements
// [revocation.Shared].
type Revocations struct{ *Shared }

// Fields that are no entries.
const (
	epochField   = "#epoch"
	versionField = "#version"
)

func (r Revocations) key() string     { return r.o.Prefix + ":revocations" }
func (r Revocations) channel() string { return r.o.Prefix + ":revocations:changed" }

// Mark returns the list's state.
func (r Revocations) Mark(ctx context.Context) (revocation.Mark, error) {
	ctx, cancel := r.trip(ctx)
	defer cancel()
	values, err := r.client.HMGet(ctx, r.key(), epochField, versionField).Result()
	if err != nil {
		return revocation.Mark{}, fmt.Errorf("redis: revocations: %w", err)
	}
	epoch, _ := values[0].(string)
	version, _ := values[1].(string)
	return mark(epoch, version)
}

func mark(epoch, version string) (revocation.Mark, error) {
	if epoch == "" && version == "" {
		return revocation.Mark{}, nil
	}
	n, err := strconv.ParseInt(version, 10, 64)
	if err != nil || epoch == "" {
		return revocation.Mark{}, errors.New("redis: revocations: the list has no epoch and version; is the prefix used by something else?")
	}
	return revocation.Mark{Epoch: epoch, Version: n}, nil
}

// Read returns the list.
func (r Revocations) Read(ctx context.Context) (revocation.Mark, []*revocation.Entry, error) {
	ctx, cancel := r.trip(ctx)
	defer cancel()
	fields, err := r.client.HGetAll(ctx, r.key()).Result()
	if err != nil {
		return revocation.Mark{}, nil, fmt.Errorf("redis: revocations: %w", err)
	}
	m, err := mark(fields[epochField], fields[versionField])
	if err != nil {
		return m, nil, err
	}
	var entries []*revocation.Entry
	for id, text := range fields {
		if id == epochField || id == versionField {
			continue
		}
		e, err := revocation.Decode([]byte(text))
		if err != nil || e.ID != id { // what a newer gateway wrote, or nobody: part of the list is worse than the last known one
			return m, nil, fmt.Errorf("redis: revocations: entry %.40q cannot be read: %w", id, err)
		}
		entries = append(entries, e)
	}
	return m, entries, nil
}

// Put puts entries on the list.
func (r Revocations) Put(ctx context.Context, missing bool, entries []*revocation.Entry) error {
	mode := "set"
	if missing {
		mode = "add"
	}
	args := make([]any, 0, 2*len(entries))
	for _, e := range entries {
		text, err := e.Encode()
		if err != nil {
			return fmt.Errorf("redis: revocations: %w", err)
		}
		args = append(args, e.ID, text)
	}
	for len(args) > 0 {
		n := min(len(args), 1000)
		if err := r.change(ctx, mode, args[:n]...); err != nil {
			return err
		}
		args = args[n:]
	}
	return nil
}

// Delete takes an entry off the list.
func (r Revocations) Delete(ctx context.Context, id string) error {
	return r.change(ctx, "delete", id)
}

func (r Revocations) change(ctx context.Context, mode string, args ...any) error {
	ctx, cancel := r.trip(ctx)
	defer cancel()
	calls := []call{{keys: []string{r.key()}, args: append([]any{mode, r.channel(), newEpoch()}, args...)}}
	run(ctx, r.client, revokeScript, calls)
	if err := calls[0].out.Err(); err != nil {
		return fmt.Errorf("redis: revocations: %w", err)
	}
	return nil
}

// Sweep removes entries that are over, unless somebody put others in their
// place.
func (r Revocations) Sweep(ctx context.Context, over []*revocation.Entry) error {
	ctx, cancel := r.trip(ctx)
	defer cancel()
	var args []any
	for _, e := range over {
		text, err := e.Encode()
		if err != nil {
			return fmt.Errorf("redis: revocations: %w", err)
		}
		if args = append(args, e.ID, text); len(args) == 1000 {
			break // the rest is for the next time
		}
	}
	calls := []call{{keys: []string{r.key()}, args: args}}
	run(ctx, r.client, sweepScript, calls)
	return calls[0].out.Err()
}

// Follow listens to announcements. The library connects again by itself; what is
// announced in between is found by looking.
func (r Revocations) Follow(ctx context.Context, changed func()) {
	for pause := tick; ctx.Err() == nil; pause = min(2*pause, longest) {
		r.listen(ctx, func() { pause = tick; changed() })
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

func (r Revocations) listen(ctx context.Context, changed func()) {
	sub := r.client.Subscribe(ctx, r.channel())
	defer sub.Close()
	messages := sub.Channel()
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-messages:
			if !ok {
				return
			}
			changed()
		}
	}
}

// newEpoch names a list that begins now.
func newEpoch() string { return fmt.Sprintf("%016x", rand.Uint64()) } //nolint:gosec // a name, no secret
