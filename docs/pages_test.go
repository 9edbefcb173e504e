package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/integration/testenv"
	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/config"
)

// pages returns the pages that people read first, and those of more patterns.
func pages(t *testing.T, more ...string) map[string]string {
	t.Helper()
	out := testenv.Texts(t, append([]string{"../*.md", "*.md", "../examples/*.md", "../envoy/*.md", "../changes/*.md"}, more...)...)
	if len(out) < 10 {
		t.Fatalf("only %d pages", len(out))
	}
	return out
}

var fence = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")

func TestTheExampleConfigurationsAreValid(t *testing.T) {
	for _, path := range []string{"../examples/quickstart/sallyport.yaml", "../examples/compose/sallyport.yaml", "../examples/keycloak/sallyport.yaml"} {
		if _, err := config.Load(path, app.ConfigOptions()); err != nil {
			t.Error(err)
		}
	}
}

// TestLinksLeadSomewhere covers links within the source tree, to the heading.
func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:\s]*)(#[^)]*)?\)`)
	headings := make(map[string]map[string]bool)
	for path, text := range pages(t, "adr/*.md", "../guard/*/README.md", "example/*/*.md") {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			to := path
			if m[1] != "" {
				to = filepath.Join(filepath.Dir(path), m[1])
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: link to %s: %v", path, m[1], err)
				continue
			}
			if m[2] == "" || filepath.Ext(to) != ".md" {
				continue
			}
			if headings[to] == nil {
				b, err := os.ReadFile(to)
				if err != nil {
					t.Fatal(err)
				}
				headings[to] = anchors(string(b))
			}
			if !headings[to][m[2][1:]] {
				t.Errorf("%s: link to %s: there is no heading %s", path, m[1], m[2])
			}
		}
	}
}

var (
	headline    = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	linked      = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	notInAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors returns what links to the headings of a page look like.
func anchors(page string) map[string]bool {
	out := make(map[string]bool)
	for _, m := range headline.FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		heading := linked.ReplaceAllString(m[1], "$1")
		heading = notInAnchor.ReplaceAllString(strings.ToLower(heading), "")
		out[strings.ReplaceAll(heading, " ", "-")] = true
	}
	return out
}

func TestTheGuardShownIsTheOneThatIsTested(t *testing.T) {
	code, err := os.ReadFile("example/length/length.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("writing-a-guard.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "```go\n"+string(code)+"```\n") {
		t.Error("writing-a-guard.md does not show example/length/length.go as it is")
	}
}

// TestEveryCommandShownExists holds the pages to the commands that there are.
func TestEveryCommandShownExists(t *testing.T) {
	source, err := filepath.Glob("../cmd/sallyport/*.go")
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	use := regexp.MustCompile(`Use(?::|\s*=)\s*"([a-z]+)`)
	for _, path := range source {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range use.FindAllStringSubmatch(string(b), -1) {
			known[m[1]] = true
		}
	}
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("(?m)(?:^|`|&& )(sallyport|make) ([a-z]+)")
	for path, text := range pages(t) {
		for _, m := range shown.FindAllStringSubmatch(text, -1) {
			switch {
			case m[1] == "sallyport" && m[2] != "ready" && !known[m[2]]:
				t.Errorf("%s shows `sallyport %s`, which there is not", path, m[2])
			case m[1] == "make" && !regexp.MustCompile(`(?m)^`+m[2]+`:`).Match(makefile):
				t.Errorf("%s shows `make %s`, which there is not", path, m[2])
			}
		}
	}
}

func TestTheConfigurationForKeycloakIsTheExample(t *testing.T) {
	example, err := os.ReadFile("../examples/keycloak/sallyport.yaml")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("oidc.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(example), "\n") // its first line says what the file is
	if !strings.Contains(string(page), "```yaml\n"+text+"```\n") {
		t.Error("oidc.md does not show examples/keycloak/sallyport.yaml as it is")
	}
}

// TestTheDetailsExplainedAreThoseThatReceiptsHave holds oidc.md to the words of
// internal/identity.
func TestTheDetailsExplainedAreThoseThatReceiptsHave(t *testing.T) {
	page, err := os.ReadFile("oidc.md")
	if err != nil {
		t.Fatal(err)
	}
	sources, err := filepath.Glob("../internal/identity/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, path := range sources {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		code.Write(b)
	}
	rows := regexp.MustCompile(`(?m)^\|[^|]*\| (the token[^|]*) \|`).FindAllStringSubmatch(string(page), -1)
	if len(rows) < 6 {
		t.Errorf("found %d rows", len(rows))
	}
	for _, row := range rows {
		for detail := range strings.SplitSeq(row[1], ", or: ") {
			constant := regexp.MustCompile(`^[^0-9.]*`).FindString(detail) // what differs comes after it
			if !strings.Contains(code.String(), strings.TrimSpace(constant)) {
				t.Errorf("no receipt says %q", constant)
			}
		}
	}
}
