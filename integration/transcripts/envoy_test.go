package transcripts

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/sallyport/sallyport/integration/testenv"
)

// TestThroughEnvoy replays every transcript through `sallyport run`, with one
// gateway for each configuration, and asks the same gateway's ext_authz about
// the request.
func TestThroughEnvoy(t *testing.T) {
	s, who := startServer(t), testenv.StartIssuer(t)
	groups := make(map[string][]*transcript)
	for _, tr := range load(t) {
		if tr.part["guard"] == "" {
			groups[tr.part["config.yaml"]] = append(groups[tr.part["config.yaml"]], tr)
		}
	}
	for _, list := range groups {
		address := testenv.FreeAddress(t)
		path := writeConfig(t, list[0], s.url, who, func(text string) string {
			return strings.Replace(text, `extproc: {address: "127.0.0.1:0"}`, `extproc: {address: "`+address+`"}`, 1)
		})
		g := testenv.StartFile(t, path)
		service, kept := dial(t, address), receiptsOf(t, path)
		fit := servesAuthz(t, g)
		for _, tr := range list {
			t.Run(tr.name(), func(t *testing.T) {
				for _, b := range tr.before(t) {
					got := s.replay(t, g.MCP, b, who)
					b.passed(t, got, kept.until(t, mark(t, service)))
				}
				got := s.replay(t, g.MCP, tr, who)
				judged := kept.until(t, mark(t, service))
				got.decision, got.closing = decisions(judged), kept.closing(t, judged, tr.part["closing"] != "")
				tr.compare(t, got)
				fit := fit && !editsRequest(judged)
				checkRequest(t, service, tr, who, got, fit)
				checkDecisions(t, judged, kept.until(t, mark(t, service)), fit)
			})
		}
	}
}

// servesAuthz asks the gateway whether ext_authz fits its configuration.
func servesAuthz(t *testing.T, g *testenv.Gateway) bool {
	t.Helper()
	var status struct {
		ExtAuthz struct{ Available bool } `json:"ext_authz"`
	}
	if err := json.Unmarshal([]byte(g.Get(t, "/v1/status")), &status); err != nil {
		t.Fatal(err)
	}
	return status.ExtAuthz.Available
}

// writeConfig writes the configuration of tr for one server at url.
func writeConfig(t *testing.T, tr *transcript, url string, who *testenv.Issuer, edit func(string) string) string {
	t.Helper()
	own := strings.ReplaceAll(tr.part["config.yaml"], "$ISSUER", who.URL)
	if strings.Contains(own, "$KEY") {
		key := filepath.Join(t.TempDir(), "key")
		testenv.Write(t, key, bindingKey)
		own = strings.ReplaceAll(own, "$KEY", key)
	}
	if strings.Contains(own, "$SIGNERS") {
		jwks, err := filepath.Abs("testdata/signers.jwks")
		if err != nil {
			t.Fatal(err)
		}
		own = strings.ReplaceAll(own, "$SIGNERS", jwks)
	}
	text := testenv.Config(t, "  - {name: one, url: "+url+"}\n", own)
	if strings.Contains("\n"+own, "\ngateway:") {
		text = strings.Replace(text, "gateway:\n  authentication: {method: none}\n  authorization: {policy_engine: none}\n", "", 1)
	}
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	testenv.Write(t, path, edit(text))
	return path
}

var receiptsPath = regexp.MustCompile(`receipts: \{path: "([^"]+)"`)

// receiptsOf finds the receipts of the gateway that has this configuration.
func receiptsOf(t *testing.T, config string) *file {
	t.Helper()
	b, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	return &file{path: string(receiptsPath.FindSubmatch(b)[1])}
}

func (s *server) replay(t *testing.T, url string, tr *transcript, who *testenv.Issuer) outcome {
	t.Helper()
	s.expect(tr)
	req, _ := tr.request(t, url, who)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(fmt.Errorf("after %q: %w", b, err))
	}
	return outcome{client: client(who, resp.StatusCode, resp.Header, string(b)), upstream: s.got()}
}

func dial(t *testing.T, address string) authv3.AuthorizationClient {
	t.Helper()
	c, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return authv3.NewAuthorizationClient(c)
}
