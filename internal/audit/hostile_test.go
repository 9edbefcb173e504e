package audit_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/audit/ledger"
)

// Somebody fills the queue, and then has a sink paused that would have told of it.
func TestNothingThatMustLeaveAReceiptPassesWithoutOne(t *testing.T) {
	big := decision()
	big.Detail, big.Guard = strings.Repeat("x", 2000), strings.Repeat("y", 2000)
	k, _, _ := keep(t, audit.DropAndCount, func(o *ledger.Options) { o.Spool = 1 << 12 })
	defer endKept(t, k)
	full := &disk{gate: make(chan struct{}), busy: make(chan struct{}, 100)}
	r := audit.New(full, 1, audit.DropAndCount, quiet())
	defer end(t, r)
	defer close(full.gate)
	for i := range 2 {
		if err := observe(t, r, "flood"); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			<-full.busy // the writer waits for the disk, and the next one fills the queue
		}
	}
	for name, under := range map[string]func(audit.Form) guard.Observer{"directory": k.Under, "plain": r.Under} {
		x := &guard.Exchange{ID: "admin"}
		if err := under(audit.Form{}).Observe(t.Context(), x, nil, big); err != nil {
			t.Errorf("%s: what may be dropped: %v", name, err)
		}
		if err := under(audit.Form{Must: true}).Observe(t.Context(), x, nil, big); err == nil {
			t.Errorf("%s: what must not be was", name)
		}
	}
}

func TestRefusalsWithoutAReceiptAreCounted(t *testing.T) {
	d := &disk{}
	r := audit.New(d, 4, audit.Block, quiet())
	defer end(t, r)
	d.set(errors.New("no space left"), 0)
	_ = observe(t, r, "first")
	eventually(t, "a refusal", func() bool { return observe(t, r, "next") != nil })
	if _, dropped, failed := r.Counts(); dropped == 0 || failed == 0 {
		t.Errorf("%d dropped, %d failed", dropped, failed)
	}
	d.set(nil, 0)
}

// Whoever keeps checkpoints from their second place can cut the end of the log later.
func TestAPlaceThatGetsNoCheckpointsIsToldOf(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "share")
	k, _, _ := keep(t, audit.Block, func(o *ledger.Options) { o.Publish = filepath.Join(folder, "published") })
	defer endKept(t, k)
	eventually(t, "trouble", func() bool { return k.Unpublished() != nil })
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its end", func() bool { return k.Unpublished() == nil })
	if err := k.Trouble(); err != nil {
		t.Error(err)
	}
}
