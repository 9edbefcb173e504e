// Package quickstart does what the README says, word for word where words are
// shown.
package quickstart

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

// readme returns the README's fenced blocks of a language.
func readme(t *testing.T, language string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testenv.Root(), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		out = append(out, m[1])
	}
	return out
}

// gateway is `make run` without the installing, on ports of its own.
type gateway struct {
	cmd  *exec.Cmd
	url  string
	dir  string
	done chan error
}

func start(t *testing.T) *gateway {
	t.Helper()
	envoy := testenv.Envoy(t)
	root, dir := testenv.Root(), t.TempDir()
	text, err := os.ReadFile(filepath.Join(root, "examples/quickstart/sallyport.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	// The file as it is, but for its ports: others may run the quickstart on this machine.
	config := strings.Replace(string(text), "127.0.0.1:8080", "127.0.0.1:0", 1)
	ports := [...]int{testenv.FreePort(t), testenv.FreePort(t), testenv.FreePort(t)}
	for i, port := range ports {
		config = strings.Replace(config, fmt.Sprintf("127.0.0.1:3910%d", i+1), fmt.Sprintf("127.0.0.1:%d", port), 1)
	}
	config += "extproc: {address: \"127.0.0.1:0\"}\nxds: {address: \"127.0.0.1:0\"}\nadmin: {address: \"127.0.0.1:0\"}\nenvoy: {admin_address: \"127.0.0.1:0\"}\n"
	path := filepath.Join(dir, "sallyport.yaml")
	testenv.Write(t, path, config)

	g := &gateway{dir: dir, done: make(chan error, 1)}
	g.cmd = exec.Command(filepath.Join(root, "examples/quickstart/run.sh"), "--envoy", envoy)
	g.cmd.Env = append(os.Environ(), "CONFIG="+path, fmt.Sprintf("SERVERS=-crm :%d -tickets :%d -data :%d", ports[0], ports[1], ports[2]))
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	g.cmd.WaitDelay = 5 * time.Second
	stdout, err := g.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	log := new(strings.Builder)
	g.cmd.Stderr = log
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-g.cmd.Process.Pid, syscall.SIGKILL) }) // what is left of the group
	ready := make(chan string, 1)
	go func() {
		sc := bufio.NewScanner(stdout)
		for sc.Scan() {
			if m := regexp.MustCompile(`^sallyport ready mcp=(\S+)`).FindStringSubmatch(sc.Text()); m != nil {
				ready <- m[1]
			}
		}
		_, _ = io.Copy(io.Discard, stdout)
		g.done <- g.cmd.Wait()
	}()
	select {
	case g.url = <-ready:
	case err := <-g.done:
		t.Fatalf("run.sh ended: %v\n%s", err, log)
	case <-time.After(4 * time.Minute): // it builds first
		t.Fatal("no ready line")
	}
	return g
}

func output(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func TestTheReadmeIsTrue(t *testing.T) {
	g := start(t)
	root := testenv.Root()
	here := strings.NewReplacer("http://127.0.0.1:8080", g.url)

	t.Run("the curl commands call a tool and show a refusal", func(t *testing.T) {
		var all []string
		for _, block := range readme(t, "sh") {
			if strings.HasPrefix(block, "curl ") {
				all = append(all, output(t, root, "bash", "-c", here.Replace(block)))
			}
		}
		if len(all) != 2 || !strings.Contains(all[0], "Mill") || !strings.Contains(all[1], `"malformed_message"`) || !strings.Contains(all[1], `"id":`) {
			t.Errorf("%q", all)
		}
	})
	t.Run("the Go client lists and calls a tool", func(t *testing.T) {
		listsAndCalls(t, output(t, root, "go", "run", "./examples/clients/go", g.url+"/mcp/crm"))
	})
	t.Run("the Python client does too", func(t *testing.T) {
		python := filepath.Join(root, ".tools/venv-peers/bin/python")
		if _, err := os.Stat(python); err != nil {
			testenv.Missing(t, "Python SDK: run `make peers`")
		}
		listsAndCalls(t, output(t, root, python, "examples/clients/client.py", g.url+"/mcp/crm"))
	})
	for _, file := range []string{"client.mjs", "sdk.mjs"} {
		t.Run(file+" does too", func(t *testing.T) {
			modules := filepath.Join(root, "integration/peers/node/node_modules")
			if _, err := os.Stat(modules); err != nil {
				testenv.Missing(t, "TypeScript SDKs: run `make peers`")
			}
			// Node finds packages from the file's own folder upwards.
			if err := os.Symlink(modules, filepath.Join(g.dir, "node_modules")); err != nil && !os.IsExist(err) {
				t.Fatal(err)
			}
			text, err := os.ReadFile(filepath.Join(root, "examples/clients", file))
			if err != nil {
				t.Fatal(err)
			}
			testenv.Write(t, filepath.Join(g.dir, file), string(text))
			listsAndCalls(t, output(t, g.dir, "node", file, g.url+"/mcp/crm"))
		})
	}
	t.Run("every call has left a receipt", func(t *testing.T) {
		b, err := os.ReadFile(filepath.Join(g.dir, "receipts.jsonl"))
		if err != nil || !strings.Contains(string(b), "search_customers") || !strings.Contains(string(b), "malformed_message") {
			t.Errorf("%v\n%s", err, b)
		}
	})
	t.Run("Ctrl-C leaves nothing behind", func(t *testing.T) {
		group := g.cmd.Process.Pid
		if err := syscall.Kill(-group, syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-g.done:
			if err != nil {
				t.Errorf("run.sh: %v", err)
			}
		case <-time.After(time.Minute):
			t.Fatal("still running")
		}
		testenv.Eventually(t, time.Minute, "the process group is empty", func() bool {
			return syscall.Kill(-group, 0) == syscall.ESRCH
		})
		if c, err := net.DialTimeout("tcp", strings.TrimPrefix(g.url, "http://"), time.Second); err == nil {
			_ = c.Close()
			t.Error("something still listens on", g.url)
		}
	})
}

func listsAndCalls(t *testing.T, out string) {
	t.Helper()
	if !strings.Contains(out, "tool: search_customers") || !strings.Contains(out, "Mill") {
		t.Errorf("no tool, or no customer:\n%s", out)
	}
}

// TestTheGoSnippetIsCompiled demands that the README shows lines of the client
// that the test above runs.
func TestTheGoSnippetIsCompiled(t *testing.T) {
	blocks := readme(t, "go")
	text, err := os.ReadFile(filepath.Join(testenv.Root(), "examples/clients/go/main.go"))
	if err != nil {
		t.Fatal(err)
	}
	if len(blocks) != 1 {
		t.Fatalf("%d Go blocks", len(blocks))
	}
	var want strings.Builder
	for line := range strings.Lines(blocks[0]) {
		if strings.TrimSpace(line) != "" {
			want.WriteString("\t")
		}
		want.WriteString(line)
	}
	if !strings.Contains(string(text), want.String()) {
		t.Errorf("examples/clients/go/main.go has not these lines:\n%s", want.String())
	}
}

func TestAPortInUseIsSaid(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:9003") // which the kernel gives to no client
	if err == nil {                               // or somebody listens there already, which is as good
		defer l.Close()
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(testenv.Root(), "examples/quickstart/run.sh"))
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "is in use") || strings.Count(string(out), "\n") > 2 {
		t.Errorf("%v\n%s", err, out)
	}
}
