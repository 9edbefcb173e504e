package deliver

import (
	"context"
	"fmt"
	"testing"
	"time"
)

type discard struct{}

func (discard) Deliver(context.Context, []*Item) (Outcome, error) { return Outcome{}, nil }
func (discard) Close() error                                      { return nil }

// BenchmarkDeliver is what one sink costs per receipt, reading included, with
// receipts of the size that calls of tools leave; the system itself costs nothing.
func BenchmarkDeliver(b *testing.B) {
	const receipts = 20_000
	g := openLogOf(b, b.TempDir(), 64<<20)
	more := `,"server":"crm","tenant":"acme","subject":"alice","agent":"planner","method":"tools/call","name":"search","detail":"` + fmt.Sprintf("%0600d", 7) + `"`
	g.add(receipts, more)
	g.close()
	mask, err := NewMask([]string{"detail"}, []string{"subject"}, []byte("0123456789abcdef"))
	if err != nil {
		b.Fatal(err)
	}
	for name, change := range map[string]func(*Spec){
		"plain":  func(*Spec) {},
		"filter": func(s *Spec) { s.Filter = Filter{Actions: []string{"allow"}, Severity: Info} },
		"facts":  func(s *Spec) { s.Facts = true },
		"mask":   func(s *Spec) { s.Mask = mask },
	} {
		b.Run(name, func(b *testing.B) {
			spec := Spec{Name: "x", Items: 500, Bytes: 1 << 20, Wait: time.Millisecond, Timeout: time.Second, Retry: time.Second, Open: func() (Sink, error) { return discard{}, nil }}
			change(&spec)
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				f, err := openFolder(b.TempDir(), "x")
				if err != nil {
					b.Fatal(err)
				}
				w := &worker{Spec: spec, log: quiet(), source: g.dir, folder: f, key: testKey(), head: g.seq.Load, now: time.Now}
				w.r.dir = g.dir
				for {
					w.turn()
					batch, err := w.next()
					if err != nil {
						b.Fatal(err)
					}
					if !batch.read {
						break
					}
					if len(batch.items) > 0 && !w.push(context.Background(), batch.items, patience) {
						b.Fatal("not taken")
					}
					w.advance(&batch)
				}
				if w.cursor.At.Seq != receipts {
					b.Fatal(w.cursor.At)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/receipts, "ns/receipt")
		})
	}
}
