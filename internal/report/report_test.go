package report

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/audit/ledger"
	"github.com/sallyport/sallyport/internal/audit/verify"
)

type nobody struct{}

func (nobody) Lost() uint64        { return 0 }
func (nobody) Wrote(uint64, error) {}
func (nobody) Published(error)     {}

// kept writes receipts to a directory, and returns whom to believe about them.
func kept(t *testing.T, members ...string) (dir string, keys chain.Keys) {
	t.Helper()
	private, public, _, err := chain.GenerateKey()
	keys = chain.Keys{}
	if err != nil || keys.Add(public) != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(t.TempDir(), "receipts")
	members = slices.Clone(members)
	for i, m := range members {
		members[i] = fmt.Sprintf(`"time":"2026-11-0%dT12:00:00Z","exchange":"e","direction":"to_server",%s`, i%9+1, m)
	}
	keep(t, dir, private, 1<<20, members...)
	return dir, keys
}

// keep writes receipts to a directory.
func keep(t testing.TB, dir string, private []byte, size int64, members ...string) {
	t.Helper()
	key, err := chain.ParsePrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(ledger.Options{Directory: dir, SegmentSize: size, SegmentTime: time.Hour, CheckpointEvery: time.Second, Key: key, Spool: 1 << 20, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	quit, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- l.Run(quit, nobody{}) }()
	for _, m := range members {
		for l.Spool().Put([]byte(m)) != nil {
			time.Sleep(time.Millisecond)
		}
	}
	close(quit)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

var (
	refusal  = `"action":"deny","reason":"unauthenticated","config":"c1","guards":[{"name":"identity","action":"deny","took_us":1}],"took_us":2`
	answer   = `"action":"allow","config":"c1","issuer":"https://idp","guards":[{"name":"policy","action":"allow","took_us":1},{"name":"dlp","action":"allow","detail":"EMAIL","measures":{"mask.email_address":1},"took_us":1}],"took_us":2`
	settings = Settings{
		"gateway":   map[string]any{"authentication": map[string]any{"method": "JWT"}, "authorization": map[string]any{"policy_engine": "none"}},
		"receipts":  map[string]any{"directory": "/var/lib/<b>receipts|", "when_full": "block"},
		"guards":    map[string]any{"dlp": map[string]any{"mode": "enforce", "to_server": map[string]any{"secret": "alert"}}},
		"listeners": []any{map[string]any{"address": "x"}, map[string]any{"tls": map[string]any{"certificate": "c.pem"}}},
	}
)

func made(t *testing.T, id string, o Options) *Report {
	t.Helper()
	f, err := Load(id)
	if err != nil {
		t.Fatal(err)
	}
	o.Configuration = Configuration{"sallyport.yaml", "c1", settings}
	o.Now, o.Build, o.Samples = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC), "v0", max(1, o.Samples)
	r, err := Make(f, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func part(t *testing.T, r *Report, topic string) *Shown {
	t.Helper()
	for _, p := range r.Parts {
		if p.Topic == topic {
			return p
		}
	}
	t.Fatalf("no %s", topic)
	return nil
}

func TestACopyInThePlaceOfAnotherReplicaIsNoMoreEvidence(t *testing.T) {
	dir, keys := kept(t, refusal, answer)
	copied := filepath.Join(t.TempDir(), "replica-b")
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	f, err := Load("owasp-mcp")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Make(f, Options{Directories: []string{dir, copied}, Verify: verify.Options{Keys: keys}, Configuration: Configuration{Settings: settings}, Unverified: true}); !errors.Is(err, ErrUnverified) {
		t.Error(err)
	}
}

func TestExchangesWhoseEndIsNotOnRecordAreCounted(t *testing.T) {
	for name, tt := range map[string]struct {
		receipts []string
		want     int
	}{
		"let go, and nothing more":  {[]string{answer}, 1},
		"let go, and its end known": {[]string{answer, `"closed":"client_left","config":"c1"`}, 0},
		"refused":                   {[]string{refusal}, 0},
	} {
		dir, keys := kept(t, tt.receipts...)
		r := made(t, "owasp-mcp", Options{Directories: []string{dir}, Verify: verify.Options{Keys: keys}})
		if r.Unended != tt.want {
			t.Errorf("%s: %d without an end", name, r.Unended)
		}
		var page strings.Builder
		if err := r.Markdown(&page); err != nil || !strings.Contains(page.String(), fmt.Sprintf("the end of %d exchanges", tt.want)) {
			t.Errorf("%s: the report does not say so: %v", name, err)
		}
	}
}

func TestAStatusIsNoMoreThanItsPointersShow(t *testing.T) {
	dir, keys := kept(t, refusal, answer, answer)
	r := made(t, "owasp-mcp", Options{Directories: []string{dir}, Verify: verify.Options{Keys: keys}})
	for topic, want := range map[string]Status{
		"authentication": Evidenced,     // configured, and receipts show it
		"authorization":  NotConfigured, // receipts alone would show it
		"privacy":        Partly,        // secrets are only alerted about
		"records":        Evidenced,
		"inventory":      NotConfigured,
	} {
		if got := part(t, r, topic).Status; got != want {
			t.Errorf("%s is %s, want %s", topic, got, want)
		}
	}
	if r.Receipts != 3 || r.Refused != 1 || len(r.Configs) != 1 || r.Configs[0].Count != 3 {
		t.Errorf("%+v", r.Configs)
	}
	q := part(t, r, "authentication").Receipts
	if q[0].Count != 2 || q[1].Count != 1 || len(q[1].Samples) != 1 || q[1].Samples[0].Seq != 1 {
		t.Fatalf("%+v", q)
	}
	if err := q[1].Samples[0].Proof.Check(keys); err != nil {
		t.Error(err)
	}
	if got := part(t, r, "authorization").Says(); !strings.HasPrefix(got, "Not in force here.") {
		t.Errorf("what is not configured reads like a claim: %s", got)
	}
	empty := made(t, "cosai", Options{Directories: []string{dir}, Verify: verify.Options{Keys: keys}, Since: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)})
	if got := part(t, empty, "authentication").Status; got != Configured || empty.Receipts != 0 {
		t.Errorf("of a period without receipts: %s, %d", got, empty.Receipts)
	}
	if got := made(t, "cosai", Options{Directories: []string{dir}, Verify: verify.Options{Keys: keys}, Since: time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)}).silence(); !strings.Contains(got, "the first 31 days") {
		t.Errorf("a silence goes unsaid: %q", got)
	}
	if got := part(t, empty, "transport").Status; got != NotConfigured {
		t.Errorf("one of two listeners has a certificate, and TLS is %s", got)
	}
}

// Whoever turned a guard on yesterday has no evidence of it for the month before.
func TestWhatAnotherConfigurationDecidedIsNoEvidenceUnlessItSaysTheSame(t *testing.T) {
	old := strings.ReplaceAll(answer, `"c1"`, `"c0"`)
	nameless := strings.ReplaceAll(answer, `"config":"c1",`, "")
	with := func(method string) Settings {
		return Settings{"gateway": map[string]any{"authentication": map[string]any{"method": method}}, "receipts": settings["receipts"]}
	}
	for name, tt := range map[string]struct {
		receipts []string
		file     string // its revision
		others   []Configuration
		want     Status
		shown    string
	}{
		"the file's own":                  {[]string{answer, old}, "c1", nil, Evidenced, "| 1 (under another configuration: 1) |"},
		"only others":                     {[]string{old, old}, "c1", nil, Configured, "| 0 (under another configuration: 2) | none |"},
		"another that says the same":      {[]string{old}, "c1", []Configuration{{"old.yaml", "c0", with("JWT")}}, Evidenced, "| 1 |"},
		"another that says otherwise":     {[]string{old}, "c1", []Configuration{{"old.yaml", "c0", with("mTLS")}}, Configured, "| 0 (under another configuration: 1) |"},
		"another than that which decided": {[]string{old}, "c1", []Configuration{{"old.yaml", "c9", with("JWT")}}, Configured, "| 0 (under another configuration: 1) |"},
		"receipts that name none":         {[]string{nameless}, "c1", nil, Configured, "| 0 (under another configuration: 1) |"},
		"a file without a revision":       {[]string{nameless}, "", nil, Configured, "| 0 (under another configuration: 1) |"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, keys := kept(t, tt.receipts...)
			f, err := Load("owasp-mcp")
			if err != nil {
				t.Fatal(err)
			}
			r, err := Make(f, Options{Directories: []string{dir}, Verify: verify.Options{Keys: keys}, Configuration: Configuration{"sallyport.yaml", tt.file, settings}, Others: tt.others, Samples: 1})
			if err != nil {
				t.Fatal(err)
			}
			if got := part(t, r, "authentication").Status; got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			var page, web, js strings.Builder
			if err := errors.Join(r.Markdown(&page), r.HTML(&web), r.OSCAL(&js)); err != nil || !strings.Contains(page.String(), "| messages of verified callers that passed "+tt.shown) {
				t.Errorf("%v; no %s", err, tt.shown)
			}
			number := strings.TrimSpace(strings.Split(tt.shown, "|")[1])
			if !strings.Contains(web.String(), "<td>messages of verified callers that passed</td><td>"+number+"</td>") || !strings.Contains(js.String(), number+" receipts: messages of verified callers that passed") {
				t.Errorf("the other formats do not say %s", number)
			}
		})
	}
}

// That calls were recorded does not show that somebody examined a risk.
func TestWorkOfPeopleIsNeverEvidencedByReceipts(t *testing.T) {
	for _, id := range IDs() {
		f, err := Load(id)
		if err != nil {
			t.Fatal(err)
		}
		for i := range f.Controls {
			c := &Result{Control: &f.Controls[i]}
			for range c.Topics {
				c.Parts = append(c.Parts, &Shown{Status: Evidenced})
			}
			want := Evidenced
			if c.Input {
				want = Input
			}
			if c.conclude(); c.Status != want {
				t.Errorf("%s %s is %s, want %s", id, c.ID, c.Status, want)
			}
			if (c.state().State == "satisfied") != (want == Evidenced) {
				t.Errorf("%s %s is %s in OSCAL", id, c.ID, c.state().State)
			}
		}
	}
	if f, _ := Load("iso-23894"); !f.Controls[0].Input {
		t.Error("guidance on a process is taken for what a gateway can show")
	}
}

func TestNothingIsAttestedFromADirectoryThatIsNotProved(t *testing.T) {
	dir, keys := kept(t, refusal, answer)
	f, err := Load("iso-27001")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, ledger.SegmentFile(1))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	altered := func() {
		if err := os.WriteFile(path, bytes.Replace(text, []byte(`"deny"`), []byte(`"hold"`), 1), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, others := kept(t, answer)
	for name, c := range map[string]struct {
		keys  chain.Keys
		spoil func()
	}{
		"without keys":       {nil, func() {}},
		"with another's key": {others, func() {}},
		"that was changed":   {keys, altered},
	} {
		c.spoil()
		o := Options{Directories: []string{dir}, Verify: verify.Options{Keys: c.keys}, Configuration: Configuration{Settings: settings}, Now: time.Now(), Samples: 1}
		if r, err := Make(f, o); !errors.Is(err, ErrUnverified) {
			t.Errorf("%s: %v, %v", name, r, err)
		}
		o.Unverified = true
		r := made(t, "iso-27001", o)
		var md, page, js bytes.Buffer
		if err := errors.Join(r.Markdown(&md), r.HTML(&page), r.OSCAL(&js)); err != nil {
			t.Fatal(err)
		}
		for _, out := range []string{md.String(), page.String(), js.String()} {
			if !strings.Contains(out, "NOT ATTESTED") || strings.Contains(out, `"satisfied"`) || strings.Contains(out, "**evidenced**") {
				t.Errorf("%s: %.3000s", name, out)
			}
		}
		if got := part(t, r, "authentication").Status; got != Unproved {
			t.Errorf("%s: %s", name, got)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEveryReportShowsEveryControlAndItsProofs(t *testing.T) {
	dir, keys := kept(t, refusal, answer)
	for _, id := range IDs() {
		r := made(t, id, Options{Directories: []string{dir}, Verify: verify.Options{Keys: keys}})
		var md, page bytes.Buffer
		if err := errors.Join(r.Markdown(&md), r.HTML(&page)); err != nil {
			t.Fatal(err)
		}
		for _, c := range r.Controls {
			if !strings.Contains(md.String(), "### "+c.ID+" "+c.Title) {
				t.Errorf("%s lacks %s", id, c.ID)
			}
		}
		if strings.Contains(md.String(), "/<b>") || strings.Contains(page.String(), "<b>") {
			t.Errorf("%s: a value of the configuration becomes markup", id)
		}
		n := 0
		if err := r.Proofs(func(_ string, proof []byte) error {
			n++
			p, err := verify.ParseProof(proof)
			if err != nil {
				return err
			}
			return p.Check(keys)
		}); err != nil || n != 2 {
			t.Errorf("%s: %d proofs, %v", id, n, err)
		}
	}
}

// Configuration, a directory's name and what is found wrong in a log come from others:
// in Markdown they are text, so that no reader's browser fetches a picture from them.
func TestNothingThatOthersWroteIsMarkdown(t *testing.T) {
	for in, want := range map[string]string{
		"![x](http://evil/p.png)": `!\[x\](http://evil/p.png)`,
		`a\| evidenced |`:         `a\\\| evidenced \|`,
		"**evidenced**":           `\*\*evidenced\*\*`,
		"`x` <img src=x>":         "\\`x\\` &lt;img src=x>",
		"&lt;script>":             "&amp;lt;script>",
		"a\n# heading":            "a # heading",
	} {
		if got := cell(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

// Somebody empties the directory, with the checkpoints: nothing is evidenced by it.
func TestAnEmptyDirectoryIsEvidenceOfNothing(t *testing.T) {
	dir, keys := kept(t, refusal, answer)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	f, err := Load("owasp-mcp")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Make(f, Options{Directories: []string{dir}, Verify: verify.Options{Keys: keys}, Configuration: Configuration{Settings: settings}})
	if err != nil {
		t.Log(err)
		return
	}
	for _, p := range r.Parts {
		if p.Status == Evidenced {
			t.Errorf("%s is evidenced", p.Topic)
		}
	}
	t.Logf("%+v", r.Sources[0].verdict())
}
