package differential

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	markmcp "github.com/mark3labs/mcp-go/mcp"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// job is what a client is to do: connect, make the odd call of a case, then an
// ordinary one.
type job struct {
	Key   string `json:"key"`
	SDK   string `json:"sdk"`
	Era   string `json:"era"`
	URL   string `json:"url"`
	Case  int    `json:"case"`
	Limit int    `json:"limit"` // in milliseconds, after which the odd call is left waiting; see ask
}

// handed is what a client handed to its caller.
type handed struct {
	Key        string   `json:"key"`
	Outcome    string   `json:"outcome"` // result, error, hang, or no connection
	Content    []string `json:"content"` // texts; other blocks by their type
	IsError    bool     `json:"isError"`
	Structured any      `json:"structured"`
	Notes      []any    `json:"notes"` // data of log messages
	Asked      int      `json:"asked"` // requests of the server that it answered
	Error      string   `json:"error"`
	Usable     bool     `json:"usable"` // the ordinary call worked on the same connection
}

// caller is a client of one SDK.
type caller struct {
	name string
	eras []string
	do   func(t testing.TB, j job) handed
}

// callers starts the five clients.
func callers(t testing.TB) []caller {
	modules, python := nodePeers(t), pythonVenv(t)
	py := driven(t, python, "servers/client.py")
	node := driven(t, "node", "servers/client.mjs", modules)
	both := []string{"legacy", "modern"}
	return []caller{
		{"go-sdk", both, func(_ testing.TB, j job) handed { return useGoSDK(j) }},
		{"mcp-go", both, func(_ testing.TB, j job) handed { return useMark(j) }},
		{"python", both, py.do},
		{"ts1", []string{"legacy"}, node.do},
		{"ts2", both, node.do},
	}
}

// driver is a process that runs jobs side by side.
type driver struct {
	mu      sync.Mutex
	in      *bufio.Writer
	waiting map[string]chan handed
}

func driven(t testing.TB, name string, args ...string) *driver {
	t.Helper()
	stdin, stdout := helper(t, name, args...)
	d := &driver{in: bufio.NewWriter(stdin), waiting: make(map[string]chan handed)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(stdout)
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			var h handed
			if json.Unmarshal(lines.Bytes(), &h) != nil || h.Key == "" {
				continue // the line that says it is there
			}
			d.mu.Lock()
			if to := d.waiting[h.Key]; to != nil {
				to <- h
				delete(d.waiting, h.Key)
			}
			d.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = stdin.Close()
		<-ended
	})
	return d
}

func (d *driver) do(t testing.TB, j job) handed {
	line, err := json.Marshal(j)
	if err != nil {
		t.Error(err)
	}
	answer := make(chan handed, 1)
	d.mu.Lock()
	d.waiting[j.Key] = answer
	_, err = d.in.Write(append(line, '\n'))
	err = cmp.Or(err, d.in.Flush())
	d.mu.Unlock()
	if err != nil {
		t.Errorf("%s: the driver is gone: %v", j.SDK, err)
		return handed{}
	}
	select {
	case h := <-answer:
		if h.Structured != nil {
			h.Structured = untag(h.Structured)
		}
		for i, n := range h.Notes {
			h.Notes[i] = untag(n)
		}
		return h
	case <-time.After(5 * time.Minute):
		t.Errorf("%s: the driver does not answer %s", j.SDK, j.Key)
		return handed{}
	}
}

// spent waits for f, and gives up after limit even if f does not heed its
// context.
func spent(limit time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	select {
	case err := <-done:
		return err
	case <-time.After(limit + time.Second):
		return context.DeadlineExceeded
	}
}

// ask makes the odd call and the ordinary one. A client hangs when the odd call
// is not back when the ordinary one is, which was made later, and a while after
// that: slowness alone is no hang.
func ask(h *handed, limit time.Duration, odd, fine func(context.Context) error) (answered bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*limit)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- odd(ctx) }()
	wait := func() {
		select {
		case err := <-done:
			answered, h.Outcome = true, "result"
			if err != nil {
				h.Outcome, h.Error = "error", err.Error()
			}
		case <-time.After(limit):
			h.Outcome = "hang"
		}
	}
	wait()
	h.Usable = spent(5*limit, fine) == nil
	if !answered {
		wait()
	}
	if answered && !h.Usable { // a server may end a connection just when a client takes it for the next call
		h.Usable = spent(5*limit, fine) == nil
	}
	return h.Outcome == "result"
}

var errNotFine = errors.New("the ordinary call has another answer")

// sightings collects what a Go client sees beside the result.
type sightings struct {
	mu    sync.Mutex
	notes []any
	asked int
}

func (s *sightings) note(data any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes = append(s.notes, write(data))
}

func (s *sightings) ask() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
}

func (s *sightings) into(h *handed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h.Notes, h.Asked = append([]any(nil), s.notes...), s.asked
}

func (j *job) limits() (odd, other time.Duration) {
	odd = time.Duration(j.Limit) * time.Millisecond
	return odd, 10 * odd
}

func useGoSDK(j job) handed {
	h, seen := handed{Key: j.Key}, &sightings{}
	odd, other := j.limits()
	c := sdk.NewClient(&sdk.Implementation{Name: "odd", Version: "1"}, &sdk.ClientOptions{
		ElicitationHandler: func(context.Context, *sdk.ElicitRequest) (*sdk.ElicitResult, error) {
			seen.ask()
			return &sdk.ElicitResult{Action: "decline"}, nil
		},
		LoggingMessageHandler: func(_ context.Context, r *sdk.LoggingMessageRequest) { seen.note(r.Params.Data) },
	})
	o := &sdk.ClientSessionOptions{ProtocolVersion: "2025-11-25"}
	if j.Era == "modern" {
		o.ProtocolVersion = "2026-07-28"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*other)
	defer cancel()
	s, err := c.Connect(ctx, &sdk.StreamableClientTransport{Endpoint: j.URL, MaxRetries: -1}, o)
	if err != nil {
		return handed{Key: j.Key, Outcome: "no connection", Error: err.Error()}
	}
	defer func() { _ = spent(other, func(context.Context) error { return s.Close() }) }()
	call := func(ctx context.Context, name string) (*sdk.CallToolResult, error) {
		return s.CallTool(ctx, &sdk.CallToolParams{Name: name, Arguments: map[string]any{"case": j.Case}})
	}
	var r *sdk.CallToolResult
	if ask(&h, odd, func(ctx context.Context) (err error) {
		r, err = call(ctx, "odd")
		return err
	}, func(ctx context.Context) error {
		r, err := call(ctx, "fine")
		if err != nil {
			return err
		}
		if text, ok := first(r.Content).(*sdk.TextContent); !ok || text.Text != "fine" {
			return errNotFine
		}
		return nil
	}) {
		h.IsError, h.Structured = r.IsError, structured(r.StructuredContent)
		for _, b := range r.Content {
			if text, ok := b.(*sdk.TextContent); ok {
				h.Content = append(h.Content, text.Text)
			} else {
				h.Content = append(h.Content, fmt.Sprintf("(%T)", b))
			}
		}
	}
	seen.into(&h)
	return h
}

// first returns the first of the blocks, or nothing.
func first[T any](blocks []T) (b T) {
	if len(blocks) > 0 {
		b = blocks[0]
	}
	return b
}

func structured(v any) any {
	if v == nil {
		return "undefined"
	}
	if raw, ok := v.(json.RawMessage); ok {
		text, err := canonical(raw)
		if err != nil {
			return err.Error()
		}
		return text
	}
	return write(v)
}

type decliner struct{ seen *sightings }

func (d decliner) Elicit(context.Context, markmcp.ElicitationRequest) (*markmcp.ElicitationResult, error) {
	d.seen.ask()
	return &markmcp.ElicitationResult{ElicitationResponse: markmcp.ElicitationResponse{Action: markmcp.ElicitationResponseActionDecline}}, nil
}

func useMark(j job) handed {
	h, seen := handed{Key: j.Key}, &sightings{}
	odd, other := j.limits()
	wire, err := transport.NewStreamableHTTP(j.URL)
	if err != nil {
		return handed{Key: j.Key, Outcome: "no connection", Error: err.Error()}
	}
	version := "2025-11-25"
	if j.Era == "modern" {
		version = "2026-07-28"
	}
	c := client.NewClient(wire, client.WithElicitationHandler(decliner{seen}), client.WithProtocolVersion(version))
	c.OnNotification(func(n markmcp.JSONRPCNotification) {
		if n.Method == "notifications/message" {
			seen.note(n.Params.AdditionalFields["data"])
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), 4*other)
	defer cancel()
	if err := c.Start(ctx); err != nil {
		return handed{Key: j.Key, Outcome: "no connection", Error: err.Error()}
	}
	defer func() { _ = spent(other, func(context.Context) error { return c.Close() }) }()
	begin := markmcp.InitializeRequest{}
	begin.Params.ClientInfo = markmcp.Implementation{Name: "odd", Version: "1"}
	if _, err := c.Initialize(ctx, begin); err != nil {
		return handed{Key: j.Key, Outcome: "no connection", Error: err.Error()}
	}
	call := func(ctx context.Context, name string) (*markmcp.CallToolResult, error) {
		request := markmcp.CallToolRequest{}
		request.Params.Name, request.Params.Arguments = name, map[string]any{"case": j.Case}
		return c.CallTool(ctx, request)
	}
	var r *markmcp.CallToolResult
	if ask(&h, odd, func(ctx context.Context) (err error) {
		r, err = call(ctx, "odd")
		return err
	}, func(ctx context.Context) error {
		r, err := call(ctx, "fine")
		if err != nil {
			return err
		}
		if text, ok := first(r.Content).(markmcp.TextContent); !ok || text.Text != "fine" {
			return errNotFine
		}
		return nil
	}) {
		h.IsError, h.Structured = r.IsError, structured(r.StructuredContent)
		for _, b := range r.Content {
			if text, ok := b.(markmcp.TextContent); ok {
				h.Content = append(h.Content, text.Text)
			} else {
				h.Content = append(h.Content, fmt.Sprintf("(%T)", b))
			}
		}
	}
	seen.into(&h)
	return h
}

// view is the result, in the form of what was judged.
func (h *handed) view() string {
	return view{content: h.Content, isError: h.IsError, structured: fmt.Sprint(cmp.Or[any](h.Structured, "undefined"))}.String()
}

// text shows what was handed, without the words of errors, which change with
// versions, and without numbers, which change with the time it took.
func (h *handed) text() string {
	s := h.Outcome
	if s == "result" {
		s = h.view()
	}
	if len(h.Notes) > 0 {
		s += ", notes"
	}
	if h.Asked > 0 {
		s += ", asked"
	}
	return s
}
