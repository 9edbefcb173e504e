package audit

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	logs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	"google.golang.org/protobuf/proto"
)

// The states of a system that receipts are delivered to.
const (
	well = iota
	down
	slow
)

// collected is what one system has got, and how it is.
type collected struct {
	name  string
	state atomic.Int32
	mu    sync.Mutex
	seen  map[uint64]bool
	last  uint64
	again int // receipts that had come already
	mixed int // receipts that came for the first time after a later one
}

func newCollected(name string) *collected { return &collected{name: name, seen: make(map[uint64]bool)} }

var seqMember = regexp.MustCompile(`"seq":(\d+)|\bcn1=(\d+)`)

// take notes the receipt that a text is.
func (c *collected) take(text string) {
	m := seqMember.FindStringSubmatch(text)
	if m == nil || strings.Contains(text, `"record":`) || strings.Contains(text, "|record.") {
		return
	}
	seq, err := strconv.ParseUint(m[1]+m[2], 10, 64)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.seen[seq]:
		c.again++
	case seq < c.last:
		c.mixed++
	}
	c.seen[seq], c.last = true, max(c.last, seq)
}

// lacks counts the receipts up to last that did not come.
func (c *collected) lacks(last uint64) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for seq := uint64(1); seq <= last; seq++ {
		if !c.seen[seq] {
			n++
		}
	}
	return n
}

// pause does what the state says, and reports whether the system is up.
func (c *collected) pause() bool {
	if c.state.Load() == slow {
		time.Sleep(200 * time.Millisecond)
	}
	return c.state.Load() != down
}

// serve is a system that speaks HTTP.
func (c *collected) serve(t testing.TB, handle func(path string, body []byte) (reply string)) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil || !c.pause() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte(handle(r.URL.Path, b)))
	}))
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	return srv.URL
}

func (c *collected) webhook(t testing.TB) string {
	return c.serve(t, func(_ string, body []byte) string {
		for line := range strings.Lines(string(body)) {
			c.take(line)
		}
		return ""
	})
}

func (c *collected) elastic(t testing.TB) string {
	return c.serve(t, func(_ string, body []byte) string {
		var items []string
		lines := strings.Split(strings.TrimSuffix(string(body), "\n"), "\n")
		for i := 1; i < len(lines); i += 2 {
			c.take(lines[i])
			items = append(items, `{"create":{"status":201}}`)
		}
		return `{"errors":false,"items":[` + strings.Join(items, ",") + `]}`
	})
}

// splunk acknowledges a batch at the first question.
func (c *collected) splunk(t testing.TB) string {
	var next atomic.Int64
	waiting := sync.Map{}
	return c.serve(t, func(path string, body []byte) string {
		if strings.HasSuffix(path, "/ack") {
			var q struct{ Acks []int64 }
			if json.Unmarshal(body, &q) != nil || len(q.Acks) != 1 {
				return "{}"
			}
			if events, ok := waiting.LoadAndDelete(q.Acks[0]); ok {
				for line := range strings.Lines(events.(string)) {
					c.take(line)
				}
			}
			return fmt.Sprintf(`{"acks":{"%d":true}}`, q.Acks[0])
		}
		id := next.Add(1)
		waiting.Store(id, string(body))
		return fmt.Sprintf(`{"text":"Success","code":0,"ackId":%d}`, id)
	})
}

func (c *collected) otlp(t testing.TB) string {
	return c.serve(t, func(_ string, body []byte) string {
		m := new(logs.ExportLogsServiceRequest)
		if proto.Unmarshal(body, m) != nil {
			return "?"
		}
		for _, r := range m.ResourceLogs[0].ScopeLogs[0].LogRecords {
			c.take(r.Body.GetStringValue())
		}
		return ""
	})
}

// syslog reads counted messages; being down, it hangs up on everybody.
func (c *collected) syslog(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				n := 0
				for b := bufio.NewReader(conn); c.state.Load() != down; n++ {
					if n%200 == 199 { // not at each message, or minutes of them wait in the kernel
						c.pause()
					}
					count, err := b.ReadString(' ')
					if err != nil {
						return
					}
					size, err := strconv.Atoi(strings.TrimSuffix(count, " "))
					if err != nil {
						return
					}
					text := make([]byte, size)
					if _, err := io.ReadFull(b, text); err != nil {
						return
					}
					c.take(string(text))
				}
			}()
		}
	}()
	return ln.Addr().String()
}

// kafka is a broker in this process; collect reads its topic until it has the
// receipts up to last, or nothing comes any more.
func (c *collected) kafka(t testing.TB) (broker string, collect func(last uint64)) {
	t.Helper()
	k, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "receipts"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	k.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		if c.state.Load() == slow {
			k.SleepControl(func() { time.Sleep(200 * time.Millisecond) })
		}
		return nil, errors.New("down"), c.state.Load() == down
	})
	broker = k.ListenAddrs()[0]
	return broker, func(last uint64) {
		client, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumeTopics("receipts"))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		for c.lacks(last) > 0 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			f := client.PollFetches(ctx)
			cancel()
			if f.NumRecords() == 0 {
				return
			}
			f.EachRecord(func(r *kgo.Record) { c.take(string(r.Value)) })
		}
	}
}
