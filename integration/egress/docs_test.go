package egress

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
)

func TestTheConfigurationsShownAreGood(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(testenv.Root(), "docs/egress.md"))
	if err != nil {
		t.Fatal(err)
	}
	company := testenv.NewAuthority(t)
	dir := t.TempDir()
	ca, _ := company.Write(t, dir, "ca")
	cert, key := company.Issue(t, time.Hour).Write(t, dir, "tls")
	shown := 0
	for _, block := range strings.Split(string(page), "```yaml\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		if !strings.HasPrefix(block, "egress:\n") {
			continue
		}
		shown++
		block = strings.NewReplacer("tls.pem", cert, "tls.key", key, "workloads.pem", ca).Replace(block)
		path := filepath.Join(t.TempDir(), "sallyport.yaml")
		testenv.Write(t, path, testenv.Config(t, nothing, block))
		if out, err := exec.Command(testenv.Binary(t), "validate", path).CombinedOutput(); err != nil {
			t.Errorf("%v: %s\n%s", err, out, block)
		}
	}
	if shown != 2 {
		t.Errorf("%d configurations are shown", shown)
	}
}
