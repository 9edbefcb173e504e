package injection

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

func BenchmarkScore(b *testing.B) {
	m, err := Shipped()
	if err != nil {
		b.Fatal(err)
	}
	for name, unit := range map[string]string{
		"prose":    "The team agreed to keep the old forecast until the replica is done. Please restart the gateway worker if the schedule is stuck, and see the onboarding page for how to configure it. ",
		"json":     `{"id":4702884,"name":"quarterly report","created":"2026-02-14","owner":"team-9","tags":["a","b"],"size":10293},`,
		"cyrillic": "Пожалуйста, перезапустите службу после изменения настроек и проверьте журнал. ",
	} {
		text := []byte(strings.Repeat(unit, 8192/len(unit)+1)[:8192])
		b.Run(name, func(b *testing.B) {
			d, err := New(m)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			before := cpu()
			for b.Loop() {
				d.Score(text)
			}
			// CPU time says more than the clock on a machine that others use.
			b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N)/8, "cpu-us/KiB")
		})
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
