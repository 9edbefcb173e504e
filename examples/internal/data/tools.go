package data

import (
	"context"
	"errors"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport/sallyport/examples/internal/host"
)

// Set describes a dataset.
type Set struct {
	Name    string   `json:"name"`
	About   string   `json:"about"`
	Columns []string `json:"columns"`
	Rows    int      `json:"rows"`
}

type listOut struct {
	Datasets []Set `json:"datasets"`
}

type queryIn struct {
	Dataset string `json:"dataset" jsonschema:"which dataset; list_datasets shows them"`
	Column  string `json:"column,omitempty" jsonschema:"keep rows where this column equals the value"`
	Equals  string `json:"equals,omitempty" jsonschema:"the value that the column must have"`
	Limit   int    `json:"limit,omitempty" jsonschema:"return at most this many rows; 20 when absent"`
}

type queryOut struct {
	Columns []string   `json:"columns"`
	Rows    [][]string `json:"rows"`
	Total   int        `json:"total" jsonschema:"how many match, also those beyond the limit"`
}

func (s *store) addTools(server *mcp.Server) error {
	querySchema, queryErr := host.Schema[queryIn](func(p map[string]*jsonschema.Schema) {
		host.Words(p["dataset"], s.names()...)
		host.Length(p["column"], 1, 64)
		host.Length(p["equals"], 0, 200)
		host.Range(p["limit"], 1, 200)
	})
	exportSchema, exportErr := host.Schema[exportIn](func(p map[string]*jsonschema.Schema) {
		host.Words(p["dataset"], s.names()...)
		host.Words(p["format"], formats()...)
		host.Range(p["batch_rows"], 1, 1000)
		host.Range(p["pause_ms"], 0, 5000)
	})
	watchSchema, watchErr := host.Schema[watchIn](func(p map[string]*jsonschema.Schema) {
		host.Words(p["dataset"], s.names()...)
		host.Range(p["rows"], 1, 3600)
		host.Range(p["interval_ms"], 1, 10000)
	})
	if err := errors.Join(queryErr, exportErr, watchErr); err != nil {
		return err
	}
	mcp.AddTool(server, &mcp.Tool{
		Name: "list_datasets", Title: "List datasets",
		Description: "Lists the datasets with their columns and sizes.", Annotations: host.Reads(),
	}, s.listTool)
	mcp.AddTool(server, &mcp.Tool{
		Name: "query_dataset", Title: "Query a dataset",
		Description: "Returns rows of a dataset, all or where one column equals a value.",
		InputSchema: querySchema, Annotations: host.Reads(),
	}, s.queryTool)
	mcp.AddTool(server, &mcp.Tool{
		Name: "export_dataset", Title: "Export a dataset",
		Description: "Exports a whole dataset, batch by batch, with a pause between them. Slow: ask for progress. The result links to the file.",
		InputSchema: exportSchema, Annotations: host.Reads(),
	}, s.exportTool)
	mcp.AddTool(server, &mcp.Tool{
		Name: "watch_dataset", Title: "Watch a dataset",
		Description: "Sends one row after the other as progress, at an interval, for as long as an hour or more.",
		InputSchema: watchSchema, Annotations: host.Reads(),
	}, s.watchTool)
	return nil
}

func (s *store) listTool(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, listOut, error) {
	return nil, listOut{s.describe()}, nil
}

func (s *store) describe() []Set {
	out := make([]Set, len(s.datasets))
	for i, d := range s.datasets {
		out[i] = Set{d.name, d.about, d.columns, len(d.rows)}
	}
	return out
}

func (s *store) queryTool(_ context.Context, _ *mcp.CallToolRequest, in queryIn) (*mcp.CallToolResult, queryOut, error) {
	d, err := s.find(in.Dataset)
	if err != nil {
		return nil, queryOut{}, err
	}
	rows, err := d.where(in.Column, in.Equals)
	if err != nil {
		return nil, queryOut{}, err
	}
	limit := in.Limit
	if limit == 0 {
		limit = 20
	}
	return nil, queryOut{Columns: d.columns, Rows: rows[:min(limit, len(rows))], Total: len(rows)}, nil
}
