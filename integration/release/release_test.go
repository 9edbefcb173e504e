package release

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

// endless never ends for callers of the canary, and so reaches no answer.
const endless = `package sallyport

access := {"allow": count([1 | some x in numbers.range(1, 100000); some y in numbers.range(1, 100000); x + y == 0]) == 0}
`

func TestTheLifeOfAPolicy(t *testing.T) {
	keys, stranger, issuer, server := newSigner(t), newSigner(t), testenv.StartIssuer(t), serveBundles(t)
	t.Setenv("BUNDLE_TOKEN", "t0ken")
	server.offer(keys.sign(t, "1.0.0", rules("1")), nil)
	guard := `
    bundle: ` + server.URL + `/policy.tar.gz
    keys: [{id: k1, algorithm: EdDSA, key: "file:` + keys.public + `"}]
    fetch: {token: "env:BUNDLE_TOKEN", timeout: 2s}
    store: store
    poll: 100ms
    deadline: 200ms
    canary: {stages: [{tenants: [pilot], decisions: 20}], max_disagreement: 1, after: 10}`
	path, out := write(t, issuer, guard, "")
	g := testenv.StartFile(t, path)
	if s := policyOf(t, g); version(s.Live) != "1.0.0" || len(s.Kept) != 1 {
		t.Fatalf("at the start: %+v", s)
	}
	if !server.tokens["Bearer t0ken"] || len(server.tokens) != 1 {
		t.Errorf("the bundle server saw %v", server.tokens)
	}
	token := func(subject, tenant string) string {
		return issuer.Token(t, public+"/mcp/crm", 10*time.Minute, map[string]any{"sub": subject, "tenant": tenant})
	}
	pilot, other := token("paul", "pilot"), token("olga", "other")

	// What is bad is not taken, and the status says why.
	huge := func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", fmt.Sprint(1<<40)) }
	for _, bad := range []struct {
		name    string
		archive []byte
		instead http.HandlerFunc
		want    string
	}{
		{"a stranger's signature", stranger.sign(t, "1.0.1", rules("1")), nil, "verif"},
		{"a syntax error", keys.sign(t, "1.0.2", "package sallyport\naccess := {"), nil, "rego_parse_error"},
		{"no entry point", keys.sign(t, "1.0.3", "package elsewhere\nx := 1"), nil, "has no rule data.sallyport.access"},
		{"an access that reads arguments", keys.sign(t, "1.0.4", "package sallyport\naccess := {\"allow\": input.arguments.x}"), nil, "lists cannot have"},
		{"a page", []byte("<html>not here</html>"), nil, "no archive"},
		{"half an archive", keys.sign(t, "1.0.5", rules("1"))[:200], nil, "no whole archive"},
		{"too much", nil, huge, "are allowed"},
		{"an error", nil, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, "status 500"},
		{"silence", nil, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "deadline"},
	} {
		server.offer(bad.archive, bad.instead)
		s := await(t, g, bad.name, func(s status) bool { return strings.Contains(s.Error, bad.want) })
		if version(s.Live) != "1.0.0" || s.Candidate != "" {
			t.Errorf("%s: %+v", bad.name, s)
		}
		server.offer(keys.sign(t, "1.0.0", rules("1")), nil)
		await(t, g, "the good one again", func(s status) bool { return s.Error == "" })
	}

	// A canary: the pilot's calls are judged by the new bundle, others by the old.
	server.offer(keys.sign(t, "1.1.0", rules("2")), nil)
	await(t, g, "the canary", func(s status) bool { return version(s.Candidate) == "1.1.0" && s.Stage == 1 })
	// The status tells of a stage when it is decided, a moment before it judges.
	testenv.Eventually(t, time.Minute, "the pilot is judged by the canary", func() bool {
		got, err := send(g, pilot, listTool)
		return err == nil && strings.Contains(got, "only-2") && strings.Count(got, "only-") == 1
	})
	if got, err := send(g, other, listTool); err != nil || !strings.Contains(got, "only-1") || strings.Count(got, "only-") != 1 {
		t.Errorf("%v, the list of others shows %s", err, got)
	}
	for range 15 {
		for _, who := range []string{pilot, other} {
			if _, err := send(g, who, callAny); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := await(t, g, "its promotion", func(s status) bool { return version(s.Live) == "1.1.0" && s.Candidate == "" })
	if s.Canary == nil || s.Canary.Compared == 0 || s.Canary.Counts["obligations"] == 0 {
		t.Errorf("nothing was compared: %+v", s.Canary)
	}

	// One that never answers is rejected; only the pilot met it.
	server.offer(keys.sign(t, "1.2.0", endless), nil)
	await(t, g, "the next canary", func(s status) bool { return version(s.Candidate) == "1.2.0" })
	testenv.Eventually(t, time.Minute, "the pilot gets no answer in time", func() bool {
		got, err := send(g, pilot, callAny)
		return err == nil && strings.Contains(got, "error")
	})
	for range 12 {
		if got, err := send(g, other, callAny); err != nil || strings.Contains(got, "error") {
			t.Errorf("others suffer from a canary: %s, %v", got, err)
		}
	}
	await(t, g, "its rejection", func(s status) bool { return s.Candidate == "" && strings.Contains(s.Held, "reached no answer") })

	// A rollback is one command, and holds.
	say := func(args ...string) string {
		t.Helper()
		b, err := exec.Command(testenv.Binary(t), append(append([]string{"policy"}, args...), "--admin", g.Admin)...).CombinedOutput()
		if err != nil {
			t.Errorf("policy %v: %v: %s", args, err, b)
		}
		return strings.TrimSpace(string(b))
	}
	if got := say("rollback"); version(got) != "1.0.0" {
		t.Errorf("rolled back to %s", got)
	}
	testenv.Eventually(t, time.Minute, "a receipt that says that somebody rolled back", func() bool {
		b, err := os.ReadFile(out)
		return err == nil && strings.Contains(string(b), `"policy_rollback"`)
	})
	if got, err := send(g, other, listTool); err != nil || !strings.Contains(got, "only-1") {
		t.Errorf("after the rollback: %s, %v", got, err)
	}
	server.offer(keys.sign(t, "1.1.0", rules("2")), nil)
	await(t, g, "the version that was rolled back", func(s status) bool { return strings.Contains(s.Held, "1.1.0") && version(s.Live) == "1.0.0" })
	if text := say("status"); !strings.Contains(text, "held") || !strings.Contains(text, "kept       1.1.0+") {
		t.Errorf("status: %s", text)
	}

	// A start without the bundle's server goes on where the last run ended.
	if err := g.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-g.Exited:
		g.Exited <- err
	case <-time.After(time.Minute):
		t.Fatal("the gateway did not end")
	}
	server.Close()
	g = testenv.StartFile(t, path)
	if s := policyOf(t, g); version(s.Live) != "1.0.0" || s.Error == "" {
		t.Errorf("after a restart without the server: %+v", s)
	}
	if got, err := send(g, other, listTool); err != nil || !strings.Contains(got, "only-1") {
		t.Errorf("after a restart: %s, %v", got, err)
	}
	for _, r := range receipts(t, out) {
		coherent(t, r)
	}
	if files, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "store", "*.tar.gz")); len(files) < 2 {
		t.Errorf("%d bundles are kept", len(files))
	}
}

// coherent reports a receipt of a request that two revisions judged.
func coherent(t testing.TB, r receipt) {
	t.Helper()
	want := map[string]string{"1.0.0": "-1", "1.1.0": "-2", "1.2.0": "-3"}[version(r.Policy)]
	for _, l := range r.Labels {
		if !strings.HasSuffix(l, want) {
			t.Errorf("a request under %s has label %s: %+v", r.Policy, l, r)
		}
	}
}

// TestAFleet: two replicas with one Redis show each other in their status, and what
// one is told the other does; decisions of both reach a service that takes OPA's
// decision logs.
func TestAFleet(t *testing.T) {
	keys, issuer, server, redis := newSigner(t), testenv.StartIssuer(t), serveBundles(t), testenv.StartRedis(t)
	var mu sync.Mutex
	logged := map[string]int{} // by replica and revision
	logs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		z, err := gzip.NewReader(r.Body)
		var events []struct {
			Labels  map[string]string
			Bundles map[string]struct{ Revision string }
			Input   struct{ Arguments map[string]any }
			Result  struct{ Allow bool }
		}
		if err != nil || json.NewDecoder(z).Decode(&events) != nil || r.URL.Path != "/logs" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for _, e := range events {
			if e.Input.Arguments != nil || !e.Result.Allow {
				logged["wrong"]++
			}
			logged[e.Labels["id"]+" "+version(e.Bundles["sallyport"].Revision)]++
		}
	}))
	t.Cleanup(logs.Close)
	server.offer(keys.sign(t, "1.0.0", rules("1")), nil)
	var all []*testenv.Gateway
	for range 2 {
		guard := "{bundle: \"" + server.URL + "\", store: store, poll: 100ms, keys: [{id: k1, algorithm: EdDSA, key: \"file:" + keys.public + "\"}], decision_logs: {url: \"" + logs.URL + "\", every: 100ms}}"
		path, _ := write(t, issuer, guard, "redis: {addresses: [\""+redis.Address+"\"], timeout: 2s}\n")
		all = append(all, testenv.StartFile(t, path))
	}
	server.offer(keys.sign(t, "1.1.0", rules("2")), nil)
	token := issuer.Token(t, public+"/mcp/crm", 10*time.Minute, nil)
	for _, g := range all {
		await(t, g, "the new version", func(s status) bool { return version(s.Live) == "1.1.0" })
		testenv.Eventually(t, time.Minute, "both in the status", func() bool { return replicas(t, g, "1.1.0") == 2 })
		if _, err := send(g, token, callAny); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := exec.Command(testenv.Binary(t), "policy", "rollback", "--admin", all[0].Admin).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	for _, g := range all {
		await(t, g, "the rollback everywhere", func(s status) bool { return version(s.Live) == "1.0.0" && s.Held != "" })
		testenv.Eventually(t, time.Minute, "both in the status", func() bool { return replicas(t, g, "1.0.0") == 2 })
		if _, err := send(g, token, callAny); err != nil {
			t.Fatal(err)
		}
	}
	testenv.Eventually(t, time.Minute, "the decision logs", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(logged) == 4
	})
	if logged["wrong"] > 0 {
		t.Errorf("got %v", logged)
	}
}

// replicas counts those that a status shows at a version.
func replicas(t testing.TB, g *testenv.Gateway, want string) int {
	t.Helper()
	var s struct{ Replicas []struct{ ID, Policy string } }
	if err := json.Unmarshal([]byte(g.Get(t, "/v1/status")), &s); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, r := range s.Replicas {
		if version(r.Policy) == want && r.ID != "" {
			n++
		}
	}
	return n
}

// TestChangesUnderLoad: while bundles and servers change, no request is lost, and
// none sees a mix of two revisions.
func TestChangesUnderLoad(t *testing.T) {
	keys, issuer := newSigner(t), testenv.StartIssuer(t)
	dir := t.TempDir()
	bundle, registry := filepath.Join(dir, "policy.tar.gz"), filepath.Join(dir, "servers")
	first, second := string(keys.sign(t, "1.0.0", rules("1"))), string(keys.sign(t, "1.1.0", rules("2")))
	testenv.Write(t, bundle, first)
	if err := os.Mkdir(registry, 0o700); err != nil {
		t.Fatal(err)
	}
	guard := "{bundle: " + bundle + ", poll: 100ms, keys: [{id: k1, algorithm: EdDSA, key: \"file:" + keys.public + "\"}], shadow: {bundle: " + bundle + "}}"
	path, out := write(t, issuer, guard, "registry: {directory: "+registry+"}\n")
	g := testenv.StartFile(t, path)
	done, all := make(chan struct{}), sync.WaitGroup{}
	var mu sync.Mutex
	sent, lost, mixed := 0, map[string]int{}, 0
	for n := range 4 {
		token := issuer.Token(t, public+"/mcp/crm", 10*time.Minute, map[string]any{"sub": fmt.Sprint("user-", n)})
		all.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				got, err := send(g, token, []string{callAny, listTool}[i%2])
				mu.Lock()
				sent++
				switch {
				case err != nil:
					lost[err.Error()]++
				case !strings.Contains(got, `"result"`):
					lost[got]++
				case i%2 == 1 && strings.Count(got, "only-") != 1:
					mixed++
				}
				mu.Unlock()
			}
		})
	}
	seen := map[string]bool{}
	for i := range 6 {
		testenv.Write(t, bundle, []string{second, first}[i%2])
		want := []string{"1.1.0", "1.0.0"}[i%2]
		testenv.Write(t, filepath.Join(registry, "more.yaml"), fmt.Sprintf("name: more-%d\nurl: http://127.0.0.1:9/\nhealth_check: {disabled: true}\n", i))
		s := await(t, g, "version "+want, func(s status) bool { return version(s.Live) == want })
		seen[s.Live] = true
	}
	time.Sleep(200 * time.Millisecond)
	close(done)
	all.Wait()
	if len(lost) > 0 || mixed > 0 || len(seen) != 2 {
		t.Errorf("of %d requests %v were lost, and %d lists were of two revisions; %v", sent, lost, mixed, seen)
	}
	by := map[string]int{}
	for _, r := range receipts(t, out) {
		coherent(t, r)
		by[version(r.Policy)]++
	}
	if by["1.0.0"] == 0 || by["1.1.0"] == 0 {
		t.Errorf("receipts name %v", by)
	}
	t.Logf("%d requests, receipts by version: %v", sent, by)
}
