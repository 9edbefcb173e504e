package differential

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	markmcp "github.com/mark3labs/mcp-go/mcp"
	markserver "github.com/mark3labs/mcp-go/server"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport/sallyport/integration/testenv"
)

var update = flag.Bool("update", false, "rewrite testdata/out")

// run is one execution of a tool, as its handler saw it.
type run struct {
	Tool      string
	Arguments string // canonical
}

// peer is a server of one SDK whose tools write down what they are called with.
type peer struct {
	name, url string
	drain     func(t testing.TB) []run
}

// notes collects the runs of a server in this process.
type notes struct {
	mu   sync.Mutex
	runs []run
}

func (n *notes) add(tool string, arguments any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	text := "undefined"
	if arguments != nil {
		text = write(arguments)
	}
	n.runs = append(n.runs, run{tool, text})
}

func (n *notes) drain(testing.TB) []run {
	n.mu.Lock()
	defer n.mu.Unlock()
	got := n.runs
	n.runs = nil
	return got
}

var tools = []string{"safe", "danger"}

// peers starts the five servers.
func peers(t testing.TB) []peer {
	node, python := nodePeers(t), pythonVenv(t)
	out := []peer{goSDK(t), markSDK(t)}
	remote := func(name, url string) peer {
		return peer{name, url, func(t testing.TB) []run { return fetchRuns(t, url+"calls") }}
	}
	urls := child(t, python, "servers/server.py")
	out = append(out, remote("python", urls["python"]))
	urls = child(t, "node", "servers/node.mjs", node)
	return append(out, remote("ts1", urls["ts1"]), remote("ts2", urls["ts2"]))
}

func goSDK(t testing.TB) peer {
	n := &notes{}
	s := sdk.NewServer(&sdk.Implementation{Name: "go-sdk", Version: "1"}, nil)
	for _, name := range tools {
		sdk.AddTool(s, &sdk.Tool{Name: name, InputSchema: json.RawMessage(`{"type":"object"}`)},
			func(_ context.Context, r *sdk.CallToolRequest, in map[string]any) (*sdk.CallToolResult, any, error) {
				if len(r.Params.Arguments) == 0 {
					in = nil
				}
				if in == nil {
					n.add(name, nil)
				} else {
					n.add(name, in)
				}
				return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: "ran " + name}}}, nil, nil
			})
	}
	h := httptest.NewServer(sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s },
		&sdk.StreamableHTTPOptions{Stateless: true, JSONResponse: true}))
	t.Cleanup(h.Close)
	return peer{"go-sdk", h.URL + "/", n.drain}
}

func markSDK(t testing.TB) peer {
	n := &notes{}
	s := markserver.NewMCPServer("mcp-go", "1")
	for _, name := range tools {
		s.AddTool(markmcp.NewToolWithRawSchema(name, "", json.RawMessage(`{"type":"object"}`)),
			func(_ context.Context, r markmcp.CallToolRequest) (*markmcp.CallToolResult, error) {
				n.add(name, r.Params.Arguments)
				return markmcp.NewToolResultText("ran " + name), nil
			})
	}
	h := httptest.NewServer(markserver.NewStreamableHTTPServer(s, markserver.WithStateLess(true), markserver.WithEndpointPath("/")))
	t.Cleanup(h.Close)
	return peer{"mcp-go", h.URL + "/", n.drain}
}

func fetchRuns(t testing.TB, url string) []run {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got []struct {
		Tool      string `json:"tool"`
		Arguments any    `json:"arguments"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	var out []run
	for _, r := range got {
		out = append(out, run{r.Tool, untag(r.Arguments)})
	}
	return out
}

// helper starts a process that ends with its standard input, also when this
// process is killed.
func helper(t testing.TB, name string, args ...string) (io.WriteCloser, io.Reader) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	return stdin, stdout
}

// child starts a helper and returns the object that it prints first.
func child(t testing.TB, name string, args ...string) map[string]string {
	t.Helper()
	_, stdout := helper(t, name, args...)
	first := make(chan string, 1)
	go func() {
		r := bufio.NewReader(stdout)
		line, _ := r.ReadString('\n')
		first <- line
		_, _ = io.Copy(io.Discard, r)
	}()
	var out map[string]string
	select {
	case line := <-first:
		if err := json.Unmarshal([]byte(line), &out); err != nil {
			t.Fatalf("%s %v: %v: %q", name, args, err, line)
		}
	case <-time.After(2 * time.Minute):
		t.Fatalf("%s %v: said nothing in 2 minutes", name, args)
	}
	return out
}

// nodePeers returns the folder whose node_modules has the TypeScript SDKs.
func nodePeers(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(testenv.Root(), "integration", "peers", "node")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "@modelcontextprotocol", "server")); err != nil {
		testenv.Missing(t, "Node packages: run `npm ci` in integration/peers/node")
	}
	if _, err := exec.LookPath("node"); err != nil {
		testenv.Missing(t, "node")
	}
	return dir
}

// pythonVenv returns the Python that has the SDK.
func pythonVenv(t testing.TB) string {
	t.Helper()
	path := filepath.Join(testenv.Root(), ".tools", "venv-peers", "bin", "python")
	if _, err := os.Stat(path); err != nil {
		testenv.Missing(t, "Python packages: install integration/peers/python/requirements.txt into .tools/venv-peers")
	}
	return path
}
