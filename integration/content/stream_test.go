package content

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

// streaming is a server of MCP that answers each call with the stream that its
// tool writes.
func streaming(t *testing.T, tools map[string]func(say func(string))) string {
	t.Helper()
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var m struct{ Params struct{ Name string } }
		if err != nil || json.Unmarshal(body, &m) != nil || tools[m.Params.Name] == nil {
			http.Error(w, "no such tool", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		tools[m.Params.Name](func(s string) {
			_, _ = io.WriteString(w, s)
			_ = http.NewResponseController(w).Flush()
		})
	}))
	t.Cleanup(h.Close)
	return h.URL
}

// listen calls a tool and hands every data line that comes to each.
func listen(t *testing.T, url, tool string, each func(data string)) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"`+tool+`","arguments":{},"_meta":{"progressToken":1}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range map[string]string{"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-06-18"} {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var all strings.Builder
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		all.WriteString(lines.Text() + "\n")
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && each != nil {
			each(data)
		}
	}
	if err := lines.Err(); err != nil {
		t.Errorf("%s: %v", tool, err)
	}
	return all.String()
}

const (
	reply  = `{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"%s"}]}}`
	report = `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":%d,"message":"%s"}}`
)

func TestASecretCutInPiecesDoesNotPass(t *testing.T) {
	const secret = "ghp_k3Jx9QpLm2Vb7Nc4Rt8Ws1Yz5Hd6Fg0Uak3J" // shaped like a token, and none
	event := "data: " + fmt.Sprintf(reply, "key "+secret+" end") + "\n\n"
	cut := strings.Index(event, secret) + 11
	escaped := ""
	for _, c := range secret {
		escaped += fmt.Sprintf(`\u%04x`, c)
	}
	url := streaming(t, map[string]func(func(string)){
		"chunks": func(say func(string)) {
			for i := range event { // one byte, one chunk
				if say(event[i : i+1]); i == cut {
					time.Sleep(20 * time.Millisecond)
				}
			}
		},
		"lines": func(say func(string)) {
			i := strings.Index(event, `"text":"key`) + len(`"text":`)
			say(event[:i] + "\ndata: " + event[i:])
		},
		"escapes": func(say func(string)) { say("data: " + fmt.Sprintf(reply, "key "+escaped+" end") + "\n\n") },
		"progress": func(say func(string)) {
			for i, piece := range []string{"key " + secret[:8], secret[8:16], secret[16:] + " end", "more"} {
				say("data: " + fmt.Sprintf(report, i, piece) + "\n\n")
			}
			say("data: " + fmt.Sprintf(reply, "done") + "\n\n")
		},
	})
	g := testenv.Start(t, "  - {name: cut, url: "+url+"}\n", "guards:\n  dlp: {to_client: {secret: mask, pii: mask}}\n")
	for _, tool := range []string{"chunks", "lines", "escapes", "progress"} {
		got := listen(t, g.MCP+"/mcp/cut", tool, nil)
		if strings.Contains(got, secret[16:]) || strings.Contains(got, escaped) || !strings.Contains(got, "[github_token]") {
			t.Errorf("%s: %s", tool, got)
		}
		if tool == "progress" && (!strings.Contains(got, "more") || !strings.Contains(got, "done")) {
			t.Errorf("the rest does not follow: %s", got)
		}
	}
}

// Each event goes on before the next is sent: the server waits for it. What the
// gateway keeps of a stream does not grow with it.
func TestALongStreamUnderRedaction(t *testing.T) {
	const events = 10_000
	seen := make(chan int, 1)
	url := streaming(t, map[string]func(func(string)){"long": func(say func(string)) {
		filler := strings.Repeat("all is well with the order of the day, ", 20)
		for i := range events {
			say("data: " + fmt.Sprintf(report, i, filler+fmt.Sprintf("contact ana%d.smith@mail.example", i)) + "\n\n")
			select {
			case got := <-seen:
				if got != i {
					say("data: out of order\n\n")
					return
				}
			case <-time.After(time.Minute):
				say("data: event " + strconv.Itoa(i) + " is held back\n\n")
				return
			}
		}
		say("data: " + fmt.Sprintf(reply, "done") + "\n\n")
	}})
	g := testenv.Start(t, "  - {name: long, url: "+url+"}\n", "guards:\n  dlp: {to_client: {pii: mask}}\n")
	var early int
	n := 0
	got := listen(t, g.MCP+"/mcp/long", "long", func(data string) {
		var m struct {
			Params struct {
				Progress int
				Message  string
			}
		}
		if json.Unmarshal([]byte(data), &m) != nil || m.Params.Message == "" {
			return
		}
		if strings.Contains(m.Params.Message, "smith@") || !strings.Contains(m.Params.Message, "contact [EMAIL_ADDRESS]") {
			t.Errorf("event %d: %s", m.Params.Progress, m.Params.Message)
		}
		if n++; n == events/2 {
			early = resident(t, g)
		}
		seen <- m.Params.Progress
	})
	late := resident(t, g)
	if n != events || !strings.Contains(got, "done") || strings.Contains(got, "held back") {
		t.Errorf("%d events: %s", n, got[max(0, len(got)-300):])
	}
	t.Logf("resident after %d events %d KiB, after %d %d KiB", events/2, early, events, late)
	if late > early+48<<10 { // half of the stream, 4 MiB, came in between; the rest is the collector's
		t.Errorf("memory grew from %d to %d KiB", early, late)
	}
}

// resident is the memory of the gateway's process in KiB.
func resident(t *testing.T, g *testenv.Gateway) int {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(g.Cmd.Process.Pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
