package matrix

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/peers/scenario"
)

// receipt is what the tests read of one line of the gateway's receipts.
type receipt struct {
	Direction string `json:"direction"`
	Action    string `json:"action"`
	Reason    string `json:"reason"`
	Server    string `json:"server"`
	Method    string `json:"method"`
}

// receipts checks that the gateway kept as many receipts of a kind as want
// says, by server.
func (g gateway) receipts(t *testing.T, what string, want map[string]int, kind func(receipt) bool) {
	t.Helper()
	var got map[string]int
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		got = g.count(t, kind) // they are written behind the data path
		if maps.Equal(got, want) {
			return
		}
	}
	t.Errorf("receipts %s, by server: %v, want %v", what, got, want)
}

func (g gateway) count(t *testing.T, kind func(receipt) bool) map[string]int {
	t.Helper()
	counts := make(map[string]int)
	for line := range bytes.Lines([]byte(g.Receipts(t))) {
		var r receipt
		if err := json.Unmarshal(line, &r); err != nil {
			if bytes.HasSuffix(line, []byte("\n")) {
				t.Fatalf("receipt %q: %v", line, err)
			}
			continue // is being written
		}
		if kind(r) {
			counts[r.Server]++
		}
	}
	return counts
}

// tally counts what the clients did, by kind and server.
type tally struct {
	mu     sync.Mutex
	counts map[string]map[string]int
}

func newTally() *tally { return &tally{counts: make(map[string]map[string]int)} }

func (n *tally) add(kind, server string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.counts[kind] == nil {
		n.counts[kind] = make(map[string]int)
	}
	n.counts[kind][server]++
}

func (n *tally) of(kind string) map[string]int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.counts[kind])
}

// readable checks that a client could make something of a refusal.
func readable(t *testing.T, s scenario.Step, code int, text string) {
	t.Helper()
	switch {
	case s.Error == nil:
		t.Errorf("%s: no error reached the client", s)
	case !strings.Contains(s.Error.Message, text):
		t.Errorf("%s: the message does not say %q", s, text)
	case s.Error.Code != code:
		t.Errorf("%s: the code is not %d", s, code)
	}
}
