package resilience

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

// pipe is a writer of receipts that nobody reads.
func pipe(t testing.TB) (path string, reader *os.File) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "receipts")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return path, r
}

func startWithReceipts(t testing.TB, to, rule string) *testenv.Gateway {
	t.Helper()
	a := startUpstream(t, "a")
	text := testenv.Config(t, "  - {name: a, url: "+a.url+"}\n", "")
	at := strings.Index(text, "receipts: {")
	end := at + strings.Index(text[at:], "\n")
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	testenv.Write(t, path, text[:at]+"receipts: {path: "+to+", when_full: "+rule+", queue: 16}"+text[end:])
	return testenv.StartFile(t, path)
}

// callUntil calls until one reply is as wanted.
func callUntil(t testing.TB, url, what string, want func(reply) bool) {
	t.Helper()
	testenv.Eventually(t, time.Minute, what, func() bool {
		r := call(http.DefaultClient, url, "echo")
		if readable("receipt_unavailable", "deadline_exceeded")(r) == "" {
			t.Fatalf("unreadable: %v", r)
		}
		return want(r)
	})
}

func isReceiptless(r reply) bool {
	reason, _ := r.refusal()
	return reason == "receipt_unavailable"
}

// A full disk must not turn into calls that nobody can prove.
func TestNothingPassesWithoutAReceiptWhenTheDiskIsFull(t *testing.T) {
	g := startWithReceipts(t, "/dev/full", "block")
	callUntil(t, g.MCP+"/mcp/a", "refusals", isReceiptless)
	testenv.Eventually(t, time.Minute, "the status to tell", func() bool {
		s := statusOf(t, g.Admin)
		return !s.Ready && strings.Contains(s.NotReady, "receipts cannot be written") && s.Receipts.Trouble != ""
	})
	if code, why := get(g.Admin + "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(why, "receipts") {
		t.Errorf("readyz: %d %s", code, why)
	}
	if n := metric(g.Admin, "mcp_gateway_receipts_blocked"); n != 1 {
		t.Errorf("the metric says %v", n)
	}
	g.LogWith(t, "no space left on device")
}

func TestNothingPassesWithoutAReceiptWhenNobodyTakesThem(t *testing.T) {
	path, reader := pipe(t)
	g := startWithReceipts(t, path, "block")
	fill(t, g)
	callUntil(t, g.MCP+"/mcp/a", "refusals", isReceiptless)
	if s := statusOf(t, g.Admin); s.Ready || s.Receipts.Trouble == "" {
		t.Errorf("status: %+v", s)
	}
	go func() { _, _ = io.Copy(io.Discard, reader) }()
	callUntil(t, g.MCP+"/mcp/a", "service when somebody reads again", func(r reply) bool { return r.from() == "a" })
	testenv.Eventually(t, time.Minute, "readiness", func() bool { return statusOf(t, g.Admin).Ready })
}

// What failed and works again must be found out without a restart, and what was
// lost in between must be told.
func TestServiceReturnsWhenReceiptsCanBeWrittenAgain(t *testing.T) {
	path, reader := pipe(t)
	g := startWithReceipts(t, path, "block")
	go func() { _, _ = io.Copy(io.Discard, reader) }()
	callUntil(t, g.MCP+"/mcp/a", "service", func(r reply) bool { return r.from() == "a" })
	if err := reader.Close(); err != nil { // writing fails from now on: nobody can read
		t.Fatal(err)
	}
	callUntil(t, g.MCP+"/mcp/a", "refusals", isReceiptless)
	if s := statusOf(t, g.Admin); s.Ready || s.Receipts.Trouble == "" || s.Receipts.Failed == 0 {
		t.Errorf("status: %+v", s)
	}
	again, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	callUntil(t, g.MCP+"/mcp/a", "service when writing works again", func(r reply) bool { return r.from() == "a" })
	testenv.Eventually(t, time.Minute, "readiness", func() bool { return statusOf(t, g.Admin).Ready })
	b := make([]byte, 1<<16)
	n, err := again.Read(b)
	if err != nil || !strings.Contains(string(b[:n]), `"receipts_lost":`) {
		t.Errorf("what was lost is not told: %q, %v", b[:n], err)
	}
	for _, want := range []string{"broken pipe", "receipts are written again"} {
		g.LogWith(t, want)
	}
}

func TestDropAndCountPassesAndCounts(t *testing.T) {
	path, reader := pipe(t)
	g := startWithReceipts(t, path, "drop_and_count")
	fill(t, g)
	testenv.Eventually(t, time.Minute, "dropped receipts", func() bool {
		if r := call(http.DefaultClient, g.MCP+"/mcp/a", "echo"); r.from() != "a" {
			t.Fatalf("refused: %v", r)
		}
		return metric(g.Admin, "mcp_gateway_receipts_dropped_total") > 0
	})
	if s := statusOf(t, g.Admin); !s.Ready || s.Receipts.Dropped == 0 || s.Receipts.Trouble == "" {
		t.Errorf("status: %+v", s)
	}
	go func() { _, _ = io.Copy(io.Discard, reader) }()
}

// fill makes more receipts than the pipe and the queue hold.
func fill(t testing.TB, g *testenv.Gateway) {
	t.Helper()
	l := startLoad(t, g.MCP+"/mcp/a", 8, readable("receipt_unavailable", "deadline_exceeded"))
	testenv.Eventually(t, time.Minute, "a full queue", func() bool { return statusOf(t, g.Admin).Receipts.Trouble != "" })
	l.check(t, "clients")
}
