package testenv

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Reply is the reply to a request, whose body has been read.
type Reply struct {
	*http.Response
	Text string
}

// Post sends a message as an MCP client does, with more headers, by name and
// value, and returns the reply.
func Post(t testing.TB, url, message string, header ...string) Reply {
	t.Helper()
	r, err := PostBy(context.Background(), http.DefaultClient, url, message, header...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// PostBy is Post by a client of one's own, to whoever may not reply.
func PostBy(ctx context.Context, client *http.Client, url, message string, header ...string) (Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(message))
	if err != nil {
		return Reply{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
			continue
		}
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return Reply{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return Reply{resp, string(text)}, err
}
