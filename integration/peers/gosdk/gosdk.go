// Package gosdk drives the official Go SDK's client through a scenario.
package gosdk

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport/sallyport/integration/peers/scenario"
)

// Run takes the steps of p against the MCP server at url.
func Run(ctx context.Context, url string, p scenario.Plan) scenario.Steps {
	return scenario.Run(ctx, &driver{progress: make(map[string]func())}, url, p)
}

type driver struct {
	session     *mcp.ClientSession
	user, model atomic.Int64
	answer      atomic.Pointer[map[string]any]

	mu       sync.Mutex
	calls    int
	progress map[string]func() // by progress token
}

func (d *driver) Connect(ctx context.Context, url string, p scenario.Plan) (string, error) {
	client := mcp.NewClient(&mcp.Implementation{Name: "peer-gosdk", Version: "1.0.0"}, &mcp.ClientOptions{
		ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			d.user.Add(1)
			reply := &mcp.ElicitResult{Action: "accept"}
			if a := d.answer.Load(); a != nil {
				reply.Content = *a
			}
			return reply, nil
		},
		CreateMessageHandler: func(context.Context, *mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
			d.model.Add(1)
			return &mcp.CreateMessageResult{Role: "assistant", Model: "peer-model", StopReason: "endTurn",
				Content: &mcp.TextContent{Text: scenario.ModelText}}, nil
		},
		ProgressNotificationHandler: func(_ context.Context, r *mcp.ProgressNotificationClientRequest) {
			d.mu.Lock()
			tell := d.progress[fmt.Sprint(r.Params.ProgressToken)]
			d.mu.Unlock()
			if tell != nil {
				tell()
			}
		},
	})
	o := &mcp.ClientSessionOptions{}
	switch p.Era {
	case scenario.Legacy:
		o.ProtocolVersion = "2025-11-25"
	case scenario.Modern:
		o.ProtocolVersion = scenario.ModernRevision
	}
	transport := &mcp.StreamableClientTransport{Endpoint: url}
	if p.Token != "" {
		transport.HTTPClient = &http.Client{Transport: bearer(p.Token)}
	}
	s, err := client.Connect(ctx, transport, o)
	if err != nil {
		return "", err
	}
	d.session = s
	return s.InitializeResult().ProtocolVersion, nil
}

// bearer sends a token with each request.
type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

func (d *driver) Tools(ctx context.Context) ([]string, error) {
	var names []string
	for tool, err := range d.session.Tools(ctx, nil) {
		if err != nil {
			return names, err
		}
		names = append(names, tool.Name)
	}
	return names, nil
}

func (d *driver) Call(ctx context.Context, c scenario.Call, progress func()) (string, bool, error) {
	d.answer.Store(&c.Answer)
	d.mu.Lock()
	d.calls++
	token := fmt.Sprintf("call-%d", d.calls)
	d.progress[token] = progress
	d.mu.Unlock()
	params := &mcp.CallToolParams{Name: c.Name, Arguments: c.Arguments}
	params.SetProgressToken(token)
	r, err := d.session.CallTool(ctx, params)
	if err != nil {
		return "", false, err
	}
	var text []string
	for _, block := range r.Content {
		if t, ok := block.(*mcp.TextContent); ok {
			text = append(text, t.Text)
		}
	}
	return strings.Join(text, "\n"), r.IsError, nil
}

func (d *driver) Resources(ctx context.Context) (int, error) {
	r, err := d.session.ListResources(ctx, nil)
	if err != nil {
		return 0, err
	}
	return len(r.Resources), nil
}

func (d *driver) Read(ctx context.Context, uri string) (int, error) {
	r, err := d.session.ReadResource(ctx, &mcp.ReadResourceParams{URI: uri})
	if err != nil {
		return 0, err
	}
	n := 0
	for _, c := range r.Contents {
		n += len(c.Text) + len(c.Blob)
	}
	return n, nil
}

func (d *driver) Prompts(ctx context.Context) (int, error) {
	r, err := d.session.ListPrompts(ctx, nil)
	if err != nil {
		return 0, err
	}
	return len(r.Prompts), nil
}

func (d *driver) Prompt(ctx context.Context, p scenario.Prompt) (int, error) {
	r, err := d.session.GetPrompt(ctx, &mcp.GetPromptParams{Name: p.Name, Arguments: p.Arguments})
	if err != nil {
		return 0, err
	}
	return len(r.Messages), nil
}

func (d *driver) Ping(ctx context.Context) error { return d.session.Ping(ctx, nil) }

func (d *driver) Close() error { return d.session.Close() }

func (d *driver) Asked() (user, model int) { return int(d.user.Load()), int(d.model.Load()) }

func (d *driver) Fault(err error) *scenario.Fault {
	f := &scenario.Fault{Message: err.Error()}
	if rpc := (*jsonrpc.Error)(nil); errors.As(err, &rpc) {
		f.Code, f.Message = int(rpc.Code), rpc.Message
	}
	return f
}
