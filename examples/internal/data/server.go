package data

import (
	"context"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport/sallyport/examples/internal/host"
)

const setsURI = "data://datasets"

func fileURI(name, format string) string { return setsURI + "/" + name + "/rows." + format }

// New returns the server with its datasets.
func New() (*mcp.Server, error) {
	s, err := newStore()
	if err != nil {
		return nil, err
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "data", Title: "Datasets", Version: "1.0.0"}, &mcp.ServerOptions{
		Instructions: "Datasets of the company. Query for a few rows; export for all of them.",
		Capabilities: &mcp.ServerCapabilities{},
		SetCacheable: func(_ context.Context, _ mcp.Request, c *mcp.Cacheable) {
			c.TTLMs = 60_000 // nothing here changes while the server runs
		},
	})
	if err := s.addTools(server); err != nil {
		return nil, err
	}
	server.AddResource(&mcp.Resource{URI: setsURI, Name: "datasets", Title: "All datasets",
		Description: "Names, columns and sizes.", MIMEType: "application/json"}, s.readList)
	server.AddResourceTemplate(&mcp.ResourceTemplate{URITemplate: setsURI + "/{name}/rows.{format}", Name: "rows", Title: "A dataset as a file",
		Description: "All rows, as csv or jsonl."}, s.readFile)
	return server, nil
}

func (s *store) readList(_ context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
	return host.JSON(r.Params.URI, s.describe())
}

func (s *store) readFile(_ context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
	uri := r.Params.URI
	name, format, _ := strings.Cut(strings.TrimPrefix(uri, setsURI+"/"), "/rows.")
	d, err := s.find(name)
	if err != nil {
		return nil, mcp.ResourceNotFoundError(uri)
	}
	text, err := d.render(format, d.rows)
	if err != nil {
		return nil, mcp.ResourceNotFoundError(uri)
	}
	return host.Text(uri, media(format), text), nil
}
