// Package watch tests what people watch a gateway with: metrics, alerts and
// dashboards, by a real Prometheus that scrapes a gateway in all kinds of
// situations.
package watch

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

// Prometheus is one that scrapes.
type Prometheus struct{ url string }

// StartPrometheus runs a Prometheus that scrapes an address each half second, and
// evaluates the rules as often.
func StartPrometheus(t testing.TB, address string, rules []string) *Prometheus {
	t.Helper()
	dir := t.TempDir()
	listed, err := json.Marshal(rules)
	if err != nil {
		t.Fatal(err)
	}
	testenv.Write(t, filepath.Join(dir, "prometheus.yml"), fmt.Sprintf(
		"global: {scrape_interval: 500ms, evaluation_interval: 500ms}\nrule_files: %s\nscrape_configs: [{job_name: sallyport, static_configs: [{targets: [%q]}]}]\n", listed, address))
	p := &Prometheus{url: fmt.Sprintf("http://127.0.0.1:%d", testenv.FreePort(t))}
	testenv.Launch(t, testenv.Prometheus(t, "prometheus"), "--config.file="+dir+"/prometheus.yml", "--storage.tsdb.path="+dir+"/data", "--web.listen-address="+strings.TrimPrefix(p.url, "http://"), "--enable-feature=exemplar-storage", "--log.level=warn")
	testenv.Eventually(t, time.Minute, "Prometheus is ready", func() bool {
		r, err := http.Get(p.url + "/-/ready")
		if err != nil {
			return false
		}
		_ = r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
	return p
}

// Get asks Prometheus' API, and decodes the data of its answer.
func (p *Prometheus) Get(t testing.TB, path string, params url.Values, data any) error {
	t.Helper()
	r, err := http.Get(p.url + "/api/v1/" + path + "?" + params.Encode())
	if err != nil {
		return err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(io.LimitReader(r.Body, 8<<20))
	if err != nil {
		return err
	}
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.Unmarshal(text, &answer); err != nil || answer.Status != "success" {
		return fmt.Errorf("%s: %s %w", r.Status, answer.Error, err)
	}
	return json.Unmarshal(answer.Data, data)
}

// Series returns how many series an expression has now. Those without a value, as
// of a share of nothing, do not count.
func (p *Prometheus) Series(t testing.TB, expr string) (int, error) {
	t.Helper()
	var data struct {
		Result []struct{ Value [2]any }
	}
	if err := p.Get(t, "query", url.Values{"query": {expr}}, &data); err != nil {
		return 0, err
	}
	n := 0
	for _, r := range data.Result {
		if r.Value[1] != "NaN" {
			n++
		}
	}
	return n, nil
}
