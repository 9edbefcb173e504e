package audit_test

import (
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/audit/ledger"
)

// BenchmarkReceipt is what one receipt costs, writing included: the processor
// time of all goroutines is in the elapsed time, since one always waits for the
// other. "observe" of the ledger is what the data path pays.
func BenchmarkReceipt(b *testing.B) {
	x, m, d := everything(b)
	run := func(b *testing.B, o guard.Observer) {
		b.ReportAllocs()
		for b.Loop() {
			if err := o.Observe(b.Context(), x, m, d); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("plain", func(b *testing.B) {
		r := audit.New(discard{}, 8192, audit.Block, quiet())
		run(b, r.Under(audit.Form{Config: "cfg-1", Digest: 64 << 10, Keep: audit.NoContent}))
		end(b, r)
	})
	for name, digest := range map[string]int{"ledger": 64 << 10, "ledger without digests": 0} {
		b.Run(name, func(b *testing.B) {
			k, _, _ := keep(b, audit.Block, func(o *ledger.Options) {
				o.SegmentSize, o.CheckpointEvery, o.Spool = 1<<30, 10*time.Second, 8<<20
			})
			run(b, k.Under(audit.Form{Config: "cfg-1", Digest: digest, Keep: audit.NoContent}))
			endKept(b, k)
		})
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
