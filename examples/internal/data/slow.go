package data

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type exportIn struct {
	Dataset   string `json:"dataset" jsonschema:"which dataset; list_datasets shows them"`
	Format    string `json:"format,omitempty" jsonschema:"csv when absent"`
	BatchRows int    `json:"batch_rows,omitempty" jsonschema:"rows of one batch; 20 when absent"`
	PauseMS   *int   `json:"pause_ms,omitempty" jsonschema:"milliseconds between batches; 200 when absent"`
}

type exportOut struct {
	Dataset string `json:"dataset"`
	Format  string `json:"format"`
	Rows    int    `json:"rows"`
	Bytes   int    `json:"bytes"`
	SHA256  string `json:"sha256" jsonschema:"of the exported file, in hex"`
	URI     string `json:"uri" jsonschema:"the resource that holds the file"`
}

func (s *store) exportTool(ctx context.Context, r *mcp.CallToolRequest, in exportIn) (*mcp.CallToolResult, exportOut, error) {
	d, err := s.find(in.Dataset)
	if err != nil {
		return nil, exportOut{}, err
	}
	if in.Format == "" {
		in.Format = "csv"
	}
	if in.BatchRows == 0 {
		in.BatchRows = 20
	}
	pause := 200 * time.Millisecond
	if in.PauseMS != nil {
		pause = time.Duration(*in.PauseMS) * time.Millisecond
	}
	for done := 0; done < len(d.rows); {
		if err := wait(ctx, pause); err != nil {
			return nil, exportOut{}, err
		}
		done = min(done+in.BatchRows, len(d.rows))
		if err := report(ctx, r, done, len(d.rows), fmt.Sprintf("%d of %d rows", done, len(d.rows))); err != nil {
			return nil, exportOut{}, err
		}
	}
	file, err := d.render(in.Format, d.rows)
	if err != nil {
		return nil, exportOut{}, err
	}
	sum := sha256.Sum256([]byte(file))
	out := exportOut{d.name, in.Format, len(d.rows), len(file), hex.EncodeToString(sum[:]), fileURI(d.name, in.Format)}
	size := int64(len(file))
	return &mcp.CallToolResult{Content: []mcp.Content{
		&mcp.TextContent{Text: fmt.Sprintf("Exported %d rows of %s (%d bytes).", out.Rows, out.Dataset, out.Bytes)},
		&mcp.ResourceLink{URI: out.URI, Name: d.name + "." + in.Format, MIMEType: media(in.Format), Size: &size},
	}}, out, nil
}

type watchIn struct {
	Dataset    string `json:"dataset" jsonschema:"which dataset; list_datasets shows them"`
	Rows       int    `json:"rows" jsonschema:"how many rows to send; after the last row the first follows again"`
	IntervalMS int    `json:"interval_ms,omitempty" jsonschema:"milliseconds between rows; 1000 when absent"`
}

type watchOut struct {
	Sent int `json:"sent"`
}

func (s *store) watchTool(ctx context.Context, r *mcp.CallToolRequest, in watchIn) (*mcp.CallToolResult, watchOut, error) {
	d, err := s.find(in.Dataset)
	if err != nil {
		return nil, watchOut{}, err
	}
	interval := time.Second
	if in.IntervalMS != 0 {
		interval = time.Duration(in.IntervalMS) * time.Millisecond
	}
	for i := range in.Rows {
		if err := wait(ctx, interval); err != nil {
			return nil, watchOut{}, err
		}
		row := strings.Join(d.rows[i%len(d.rows)], ",")
		if err := report(ctx, r, i+1, in.Rows, row); err != nil {
			return nil, watchOut{}, err
		}
	}
	return nil, watchOut{in.Rows}, nil
}

// report tells the client how far the call is, when it has asked to be told.
func report(ctx context.Context, r *mcp.CallToolRequest, done, total int, message string) error {
	token := r.Params.GetProgressToken()
	if token == nil {
		return nil
	}
	return r.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{
		ProgressToken: token, Progress: float64(done), Total: float64(total), Message: message,
	})
}

// wait returns early, with an error, when the client cancels the call.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("stopped before the end: %w", context.Cause(ctx))
	case <-t.C:
		return nil
	}
}
