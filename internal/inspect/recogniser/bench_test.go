package recogniser

import (
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Texts of the kinds that tools return, and some that are made to cost.
var kinds = map[string]string{
	"prose":   "The team agreed to keep the old forecast until the replica is done. Please restart the gateway worker if the schedule is stuck, and see the onboarding page for how to configure the pipeline. ",
	"log":     "2026-02-14T10:00:00Z INFO trace_id=b7abcb74f75e84abad54a27c0d7bf49f span=c6a4bb089e31d6e9 rows=6630464 bytes=56062087 duration_ms=8006 status=200 path=/v1/items/4702884564515118\n",
	"json":    `{"id":4702884,"name":"quarterly report","created":"2026-02-14","owner":"team-9","tags":["a","b"],"size":10293,"ratio":0.4432},`,
	"names":   "Margaret Smith wrote to Kyle Hall about the Order 4568896507674284 and Anna Kowalska called +44 20 7946 0958 from 12 Baker Street. ",
	"numbers": "12345678 23456789 3456789012 456789 567890123456 67890 ",
	"jwts":    "eyJ-",
	"hints":   "password a.b-c/d+e token ",
	"phones":  "+1 2/3-4 ",
	"keys":    "key-",
	"begins":  "-----BEGIN PRIVATE KEY-----\n",
	"bearers": "Bearer=a Token=",
	"secrets": "secret=token:api_key ",
	"uris":    "redis://a:b@mysql://",
	"mails":   "a.a@a.a@",
	"hetero":  "1-1.1/1 1:1,1_1",
	"street":  "1 A B C 1 ",
	"escapes": "\\u0031%31\u200b",
	"encoded": "c29tZSB0ZXh0IHRoYXQgaXMgZW5jb2RlZCBpbiBiYXNlNjQgYW5kIGlzIHF1aXRlIGxvbmc= \u200bzero\u00a0width %41%42 ",
}

func BenchmarkScan(b *testing.B) {
	list, err := Builtin(PII, Secret)
	if err != nil {
		b.Fatal(err)
	}
	set, err := Compile(list)
	if err != nil {
		b.Fatal(err)
	}
	for name, unit := range kinds {
		for _, size := range []int{200, 1 << 10, 10 << 10, 100 << 10} {
			text := []byte(strings.Repeat(unit, size/len(unit)+1)[:size])
			b.Run(name+"/"+strconv.Itoa(size), func(b *testing.B) {
				s := set.NewScanner()
				var found []Finding
				b.ReportAllocs()
				before := cpu()
				for b.Loop() {
					found = s.Scan(found[:0], Leaf{Text: text})
				}
				// CPU time says more than the clock on a machine that others use.
				b.ReportMetric(float64((cpu()-before).Nanoseconds())/float64(b.N)/float64(size)*1.024, "cpu-us/KiB")
			})
		}
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
