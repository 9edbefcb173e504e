// Command crm is a small domain-aligned MCP server: customers of a company, to
// be looked up. It serves every protocol revision that the official SDK speaks.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type customer struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Segment string `json:"segment"`
}

type searchIn struct {
	Query string `json:"query" jsonschema:"part of the customer's name"`
}

type searchOut struct {
	Customers []customer `json:"customers"`
}

func customers() []customer {
	return []customer{{"C-1", "Harbour Tools", "smb"}, {"C-2", "Northwind Mills", "enterprise"}, {"C-3", "Mill Lane Bakery", "smb"}}
}

func search(_ context.Context, _ *mcp.CallToolRequest, in searchIn) (*mcp.CallToolResult, searchOut, error) {
	if strings.TrimSpace(in.Query) == "" {
		return nil, searchOut{}, errors.New("query: say at least one letter of the name")
	}
	out := searchOut{Customers: []customer{}}
	for _, c := range customers() {
		if strings.Contains(strings.ToLower(c.Name), strings.ToLower(in.Query)) {
			out.Customers = append(out.Customers, c)
		}
	}
	return nil, out, nil
}

func main() {
	addr := flag.String("listen", "127.0.0.1:39101", "address to serve on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *addr); err != nil {
		log.Fatal(err)
	}
}

func serve(ctx context.Context, addr string) error {
	s := mcp.NewServer(&mcp.Implementation{Name: "crm", Version: "1.0.0"}, nil)
	mcp.AddTool(s, &mcp.Tool{Name: "search_customers", Description: "Finds customers by a part of their name.",
		Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true}}, search)
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("crm: %w", err)
	}
	web := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, nil)}
	go func() {
		<-ctx.Done()
		_ = web.Close()
	}()
	fmt.Printf("crm serves http://%s\n", ln.Addr())
	if err := web.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("crm: %w", err)
	}
	return nil
}
