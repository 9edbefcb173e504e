package docs_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/inspect/recogniser"
)

// Every YAML shown is a configuration, a part of one, or says in its first line
// where it belongs.
var (
	yamlBlock = regexp.MustCompile("(?ms)^( *)```yaml\n(.*?)^ *```$")
	within    = regexp.MustCompile(`^# within (\S+)\n`)
	entry     = regexp.MustCompile(`^# an entry of (\S+)\n`)
)

// around is what a part of a configuration stands in, where it says nothing
// else; besides, by page, what a part there needs.
const around = `
gateway: {authentication: {method: none}, authorization: {policy_engine: none}}
servers: [{name: crm, url: "http://127.0.0.1:9101/"}]
`

var besides = map[string]string{
	"spiffe.md": `gateway: {authentication: {method: mTLS, workload_identity: SPIFFE}}
listeners: [{address: "0.0.0.0:8443", tls: {spiffe: true}}]
spiffe: {trust_domains: [company.example]}`,
}

// place puts v where path says, below nothing but maps.
func place(path string, v any) map[string]any {
	keys := strings.Split(path, ".")
	for _, key := range slices.Backward(keys) {
		v = map[string]any{key: v}
	}
	return v.(map[string]any)
}

// fill adds what more has and m has not.
func fill(m, more map[string]any) {
	for key, v := range more {
		has, ok := m[key]
		switch inner, deep := has.(map[string]any); {
		case !ok:
			m[key] = v
		case deep:
			if v, ok := v.(map[string]any); ok {
				fill(inner, v)
			}
		}
	}
}

// whole makes a configuration of what a page shows.
func whole(path, text string) ([]byte, error) {
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		return nil, err
	}
	m, _ := v.(map[string]any)
	if at := within.FindStringSubmatch(text); at != nil {
		m = place(at[1], v)
	} else if at := entry.FindStringSubmatch(text); at != nil {
		m = place(at[1], v)
	}
	for _, more := range []string{besides[path], around} {
		var add map[string]any
		if err := yaml.Unmarshal([]byte(more), &add); err != nil {
			return nil, err
		}
		fill(m, add)
	}
	return yaml.Marshal(m)
}

// besidesFiles leaves out complaints about certificates, which nobody has here.
func besidesFiles(err error) error {
	if err == nil {
		return nil
	}
	problems := slices.DeleteFunc(strings.Split(err.Error(), "\n"), func(problem string) bool {
		return strings.Contains(problem, "cannot be read: stat ")
	})
	if len(problems) == 0 {
		return nil
	}
	return errors.New(strings.Join(problems, "\n"))
}

func TestEveryPieceOfYAMLShownLoads(t *testing.T) {
	n := 0
	for path, text := range pages(t, "../guard/*/README.md", "../deploy/*/*.md") {
		for _, m := range yamlBlock.FindAllStringSubmatch(text, -1) {
			shown := regexp.MustCompile("(?m)^"+m[1]).ReplaceAllString(m[2], "")
			n++
			switch {
			case strings.HasPrefix(shown, "services:"): // of Compose
				if err := yaml.Unmarshal([]byte(shown), new(any)); err != nil {
					t.Errorf("%s: %v", path, err)
				}
				continue
			case strings.HasPrefix(shown, "recognisers:"): // a file of its own
				if _, err := recogniser.Parse([]byte(shown)); err != nil {
					t.Errorf("%s: %v", path, err)
				}
				continue
			}
			doc, err := whole(path, shown)
			if err == nil {
				_, err = config.Parse(filepath.ToSlash(path), doc, app.ConfigOptions())
			}
			if err = besidesFiles(err); err != nil {
				t.Errorf("%s: %v\n%s", path, err, bytes.TrimSpace(doc))
			}
		}
	}
	if n < 50 {
		t.Errorf("found %d", n)
	}
}
