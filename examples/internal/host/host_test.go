package host

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func offer() Offer {
	return Offer{Name: "one", Addr: ":0", New: func() (*mcp.Server, error) {
		return mcp.NewServer(&mcp.Implementation{Name: "one", Version: "1"}, nil), nil
	}}
}

func TestItServesUntilToldToStop(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, "test", nil, in, io.Discard, []Offer{offer()}) }()
	line := make([]byte, 200)
	n, err := out.Read(line)
	url, ok := strings.CutPrefix(strings.TrimSpace(string(line[:n])), "test ready one=")
	if err != nil || !ok || !strings.HasPrefix(url, "http://127.0.0.1:") {
		t.Fatalf("ready line %q, %v", line[:n], err)
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	s, err := client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: url}, &mcp.ClientSessionOptions{ProtocolVersion: "2025-06-18"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Ping(ctx, nil); err != nil { // leaves its stream open, which must not hold up the end
		t.Fatal(err)
	}
	start := time.Now()
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
	if took := time.Since(start); took > drain {
		t.Errorf("took %v to end", took)
	}
	_ = s.Close() // the server is gone; nothing to learn from the error
}

func TestMisuseIsToldFromFailure(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		want error
		says string
	}{
		{"help", []string{"-h"}, flag.ErrHelp, "-one address"},
		{"an unknown flag", []string{"-two", "x"}, errUsage, "-two"},
		{"an argument", []string{"x"}, errUsage, `"x"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stderr bytes.Buffer
			err := run(t.Context(), "test", c.args, io.Discard, &stderr, []Offer{offer()})
			if !errors.Is(err, c.want) || !strings.Contains(stderr.String(), c.says) {
				t.Errorf("got %v, said %q", err, stderr.String())
			}
		})
	}
	if err := run(t.Context(), "test", []string{"-one", "256.0.0.1:x"}, io.Discard, io.Discard, []Offer{offer()}); err == nil || errors.Is(err, errUsage) {
		t.Errorf("an address that cannot be listened on: %v", err)
	}
}

func TestAPageOfAnotherOriginCannotCall(t *testing.T) {
	s, _ := offer().New()
	h := Handler(s, slog.New(slog.DiscardHandler))
	r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:1/", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`))
	r.Header.Set("Origin", "https://evil.example")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusForbidden {
		t.Errorf("got %d", w.Code)
	}
}
