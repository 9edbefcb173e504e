package data

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport/sallyport/examples/internal/hosttest"
)

func TestAnExportReportsProgressAndLinksToItsFile(t *testing.T) {
	messages := make(chan string, 100)
	o := &mcp.ClientOptions{ProgressNotificationHandler: func(_ context.Context, r *mcp.ProgressNotificationClientRequest) {
		messages <- r.Params.Message
	}}
	hosttest.Each(t, New, o, func(t *testing.T, s *mcp.ClientSession) {
		for len(messages) > 0 {
			<-messages
		}
		p := &mcp.CallToolParams{Name: "export_dataset", Arguments: hosttest.Args{"dataset": "stock", "format": "jsonl", "batch_rows": 8, "pause_ms": 1}}
		p.SetProgressToken("t")
		r, err := s.CallTool(hosttest.Context(t), p)
		if err != nil || r.IsError {
			t.Fatalf("%+v %v", r, err)
		}
		for _, want := range []string{"8 of 20 rows", "16 of 20 rows", "20 of 20 rows"} {
			select {
			case got := <-messages:
				if got != want {
					t.Errorf("progress %q, want %q", got, want)
				}
			case <-time.After(time.Minute):
				t.Fatalf("no progress %q", want)
			}
		}
		link, ok := r.Content[1].(*mcp.ResourceLink)
		if !ok {
			t.Fatalf("no link: %+v", r.Content)
		}
		file, err := hosttest.Read(t, s, link.URI)
		sum := sha256.Sum256([]byte(file))
		if err != nil || r.StructuredContent.(map[string]any)["sha256"] != hex.EncodeToString(sum[:]) {
			t.Errorf("the file differs from what was exported: %d bytes, %v", len(file), err)
		}
	})
}

func TestASlowCallStopsWhenTheClientCancelsIt(t *testing.T) {
	hosttest.Each(t, New, nil, func(t *testing.T, s *mcp.ClientSession) {
		ctx, cancel := context.WithTimeout(hosttest.Context(t), 50*time.Millisecond)
		defer cancel()
		_, err := s.CallTool(ctx, &mcp.CallToolParams{Name: "watch_dataset", Arguments: hosttest.Args{"dataset": "sensors", "rows": 3600}})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if _, fault := hosttest.Call[listOut](t, s, "list_datasets", nil); fault != "" {
			t.Errorf("the connection is no longer usable: %s", fault)
		}
	})
}

func TestDatasetsAreQueried(t *testing.T) {
	for _, c := range []struct {
		name  string
		args  hosttest.Args
		total int
		fault string
	}{
		{"all rows", hosttest.Args{"dataset": "sales"}, 108, ""},
		{"rows where a column equals a value", hosttest.Args{"dataset": "sales", "column": "region", "equals": "north"}, 36, ""},
		{"no row matches", hosttest.Args{"dataset": "sales", "column": "region", "equals": "moon"}, 0, ""},
		{"a column that is not there", hosttest.Args{"dataset": "sales", "column": "colour", "equals": "red"}, 0, "it has month, region"},
		{"a dataset that is not there", hosttest.Args{"dataset": "salaries"}, 0, "dataset"},
	} {
		t.Run(c.name, func(t *testing.T) {
			hosttest.Each(t, New, nil, func(t *testing.T, s *mcp.ClientSession) {
				out, fault := hosttest.Call[queryOut](t, s, "query_dataset", c.args)
				if out.Total != c.total || (fault == "") != (c.fault == "") || !strings.Contains(fault, c.fault) {
					t.Errorf("got %d rows, error %q", out.Total, fault)
				}
			})
		})
	}
}
