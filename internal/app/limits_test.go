package app

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/config"
)

// What guard/quota's page shows loads as it stands.
func TestTheConfigurationsOfTheQuotaPageAreValid(t *testing.T) {
	page, err := os.ReadFile("../../guard/quota/README.md")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("REDIS_PASSWORD", "secret")
	blocks := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindAllStringSubmatch(string(page), -1)
	if len(blocks) != 2 {
		t.Fatalf("%d blocks", len(blocks))
	}
	head := "  authentication: {method: none}\n  authorization: {policy_engine: none}\n"
	text := strings.Replace(blocks[0][1], "gateway:\n", "gateway:\n"+head, 1) + blocks[1][1] + "servers: [{name: crm, url: \"http://127.0.0.1:1/\"}]\n"
	cfg, err := config.Parse("quota.yaml", []byte(text), ConfigOptions())
	if err != nil {
		t.Fatal(err)
	}
	l := new(lasting)
	s, err := l.snapshot(cfg)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, m := range s.Chain.Members() {
		found = found || m.Spec.Name == "quota"
	}
	if !found || l.limits.status().Counted != "redis" {
		t.Errorf("in the chain: %v, %+v", found, l.limits.status())
	}
}

// A rule may not take the name of the guide's, and nothing counts without rules.
func TestLimitsFollowTheConfiguration(t *testing.T) {
	head := "gateway:\n  authentication: {method: none}\n  authorization: {policy_engine: none}\n"
	tail := "servers: [{name: crm, url: \"http://127.0.0.1:1/\"}]\n"
	for _, tt := range []struct{ name, more, counted, wrong string }{
		{"nothing", "", "", ""},
		{"the guide's rule", "  rate_limiting: {per_tool: 1/hour}\n", "here", ""},
		{"one name twice", "  rate_limiting: {per_tool: 1/hour}\nguards: {quota: {rules: [{name: per_tool, limit: 1/hour}]}}\n", "", "two rules"},
		{"more than a counter holds", "  rate_limiting: {per_tool: 10000000000/hour}\n", "", "more than 1000000000 calls"},
	} {
		cfg, err := config.Parse("x.yaml", []byte(head+tt.more+tail), ConfigOptions())
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		l := new(lasting)
		_, err = l.snapshot(cfg)
		if (tt.wrong == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.wrong) || l.limits.status().Counted != tt.counted {
			t.Errorf("%s: %v, counted %q", tt.name, err, l.limits.status().Counted)
		}
	}
}
