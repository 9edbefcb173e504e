// Package mcpgo drives the client of github.com/mark3labs/mcp-go through a
// scenario.
package mcpgo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"

	"github.com/sallyport/sallyport/integration/peers/scenario"
)

// Run takes the steps of p against the MCP server at url. In the legacy era the
// client also keeps the standalone GET stream open.
func Run(ctx context.Context, url string, p scenario.Plan) scenario.Steps {
	return scenario.Run(ctx, &driver{progress: make(map[string]func())}, url, p)
}

type driver struct {
	client      *client.Client
	user, model atomic.Int64
	answer      atomic.Pointer[map[string]any]

	mu       sync.Mutex
	calls    int
	progress map[string]func() // by progress token
}

// Elicit is the user: accepts with the answer of the plan.
func (d *driver) Elicit(context.Context, mcp.ElicitationRequest) (*mcp.ElicitationResult, error) {
	d.user.Add(1)
	reply := &mcp.ElicitationResult{ElicitationResponse: mcp.ElicitationResponse{Action: mcp.ElicitationResponseActionAccept}}
	if a := d.answer.Load(); a != nil {
		reply.Content = *a
	}
	return reply, nil
}

// CreateMessage is the model.
func (d *driver) CreateMessage(context.Context, mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
	d.model.Add(1)
	return &mcp.CreateMessageResult{
		SamplingMessage: mcp.SamplingMessage{Role: mcp.RoleAssistant, Content: mcp.NewTextContent(scenario.ModelText)},
		Model:           "peer-model", StopReason: "endTurn",
	}, nil
}

func (d *driver) Connect(ctx context.Context, url string, p scenario.Plan) (string, error) {
	var wire []transport.StreamableHTTPCOption
	options := []client.ClientOption{client.WithElicitationHandler(d), client.WithSamplingHandler(d)}
	switch p.Era {
	case scenario.Legacy:
		wire = append(wire, transport.WithContinuousListening())
		options = append(options, client.WithProtocolVersion("2025-11-25"))
	case scenario.Modern:
		options = append(options, client.WithProtocolVersion(scenario.ModernRevision))
	}
	if p.Token != "" {
		wire = append(wire, transport.WithHTTPHeaders(map[string]string{"Authorization": "Bearer " + p.Token}))
	}
	t, err := transport.NewStreamableHTTP(url, wire...)
	if err != nil {
		return "", err
	}
	d.client = client.NewClient(t, options...)
	d.client.OnNotification(d.notified)
	if err := d.client.Start(context.WithoutCancel(ctx)); err != nil { // the connection outlives this step
		return "", err
	}
	request := mcp.InitializeRequest{}
	request.Params.ClientInfo = mcp.Implementation{Name: "peer-mcpgo", Version: "1.0.0"}
	r, err := d.client.Initialize(ctx, request)
	if err != nil {
		return "", err
	}
	return r.ProtocolVersion, nil
}

func (d *driver) notified(n mcp.JSONRPCNotification) {
	if n.Method != "notifications/progress" {
		return
	}
	d.mu.Lock()
	tell := d.progress[fmt.Sprint(n.Params.AdditionalFields["progressToken"])]
	d.mu.Unlock()
	if tell != nil {
		tell()
	}
}

func (d *driver) Tools(ctx context.Context) ([]string, error) {
	r, err := d.client.ListTools(ctx, mcp.ListToolsRequest{})
	if err != nil {
		return nil, err
	}
	names := make([]string, len(r.Tools))
	for i, t := range r.Tools {
		names[i] = t.Name
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
	request := mcp.CallToolRequest{}
	request.Params.Name, request.Params.Arguments = c.Name, c.Arguments
	request.Params.Meta = &mcp.Meta{ProgressToken: token}
	r, err := d.client.CallTool(ctx, request)
	if err != nil {
		return "", false, err
	}
	var text []string
	for _, block := range r.Content {
		if t, ok := block.(mcp.TextContent); ok {
			text = append(text, t.Text)
		}
	}
	return strings.Join(text, "\n"), r.IsError, nil
}

func (d *driver) Resources(ctx context.Context) (int, error) {
	r, err := d.client.ListResources(ctx, mcp.ListResourcesRequest{})
	if err != nil {
		return 0, err
	}
	return len(r.Resources), nil
}

func (d *driver) Read(ctx context.Context, uri string) (int, error) {
	request := mcp.ReadResourceRequest{}
	request.Params.URI = uri
	r, err := d.client.ReadResource(ctx, request)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, c := range r.Contents {
		switch c := c.(type) {
		case mcp.TextResourceContents:
			n += len(c.Text)
		case mcp.BlobResourceContents:
			n += len(c.Blob)
		}
	}
	return n, nil
}

func (d *driver) Prompts(ctx context.Context) (int, error) {
	r, err := d.client.ListPrompts(ctx, mcp.ListPromptsRequest{})
	if err != nil {
		return 0, err
	}
	return len(r.Prompts), nil
}

func (d *driver) Prompt(ctx context.Context, p scenario.Prompt) (int, error) {
	request := mcp.GetPromptRequest{}
	request.Params.Name, request.Params.Arguments = p.Name, p.Arguments
	r, err := d.client.GetPrompt(ctx, request)
	if err != nil {
		return 0, err
	}
	return len(r.Messages), nil
}

func (d *driver) Ping(ctx context.Context) error { return d.client.Ping(ctx) }

func (d *driver) Close() error { return d.client.Close() }

func (d *driver) Asked() (user, model int) { return int(d.user.Load()), int(d.model.Load()) }

// Fault restores the code of those errors that mcp-go turns into values of its
// own; of all other codes its callers see the message only.
func (d *driver) Fault(err error) *scenario.Fault {
	f := &scenario.Fault{Message: err.Error()}
	for _, known := range []struct {
		err  error
		code int
	}{
		{mcp.ErrParseError, mcp.PARSE_ERROR},
		{mcp.ErrInvalidRequest, mcp.INVALID_REQUEST},
		{mcp.ErrMethodNotFound, mcp.METHOD_NOT_FOUND},
		{mcp.ErrInvalidParams, mcp.INVALID_PARAMS},
		{mcp.ErrInternalError, mcp.INTERNAL_ERROR},
		{mcp.ErrResourceNotFound, mcp.RESOURCE_NOT_FOUND},
	} {
		if errors.Is(err, known.err) {
			f.Code = known.code
		}
	}
	return f
}
