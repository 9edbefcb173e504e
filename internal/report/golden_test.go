package report

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/audit/verify"
)

var update = flag.Bool("update", false, "write testdata/out anew, and testdata/in where it is missing")

// lives are receipts of one replica in which all happens that a report counts.
func lives(replica string, n int) (members []string) {
	put := func(format string, args ...any) { members = append(members, fmt.Sprintf(format, args...)) }
	for i := range n {
		x := fmt.Sprintf(`"time":"2026-11-%02dT12:00:00Z","exchange":"%s%d","server":"crm"`, i%20+1, replica, i)
		switch i % 6 {
		case 0:
			put(`%s,"direction":"to_server","action":"deny","reason":"unauthenticated","config":"c1","guards":[{"name":"identity","action":"deny","took_us":1}],"took_us":2`, x)
		case 1:
			put(`%s,"direction":"to_server","method":"tools/call","name":"find","tool":{"facts":["read_only"]},"action":"allow","config":"c1","issuer":"https://idp","subject":"<b>ana|","guards":[{"name":"policy","action":"allow","took_us":1},{"name":"dlp","action":"allow","detail":"EMAIL","measures":{"mask.email_address":1},"took_us":1}],"took_us":2`, x)
			put(`%s,"direction":"to_client","kind":"response","action":"allow","config":"c1","guards":[{"name":"dlp","action":"allow","took_us":1}],"took_us":2`, x)
		case 2:
			put(`%s,"direction":"to_server","method":"tools/call","name":"watch","action":"allow","config":"c1","guards":[],"took_us":2`, x)
			put(`%s,"direction":"to_client","stream":true,"action":"allow","config":"c1","events":[{"kind":"injection_found"}],"guards":[{"name":"injection","action":"allow","detail":"words","took_us":1}],"took_us":2`, x)
		case 3:
			put(`%s,"direction":"to_server","method":"tools/call","name":"watch","action":"allow","config":"c1","guards":[],"took_us":2`, x)
			put(`%s,"closed":"client_left","config":"c1"`, x)
		case 4:
			put(`%s,"direction":"to_server","unseen":true,"action":"allow","config":"c1","guards":[],"took_us":2`, x)
		case 5:
			put(`%s,"direction":"to_server","action":"hold","reason":"approval_required","config":"c1","guards":[{"name":"approval","action":"hold","took_us":1}],"took_us":2`, x)
		}
	}
	return members
}

// archive is two directories that were kept once, so that reports of them stay the
// same. One gateway was started twice.
func archive(t *testing.T) (dirs []string, keys chain.Keys) {
	t.Helper()
	const in = "testdata/in"
	if _, err := os.Stat(in); errors.Is(err, os.ErrNotExist) && *update {
		private, public, _, err := chain.GenerateKey()
		if err := errors.Join(err, os.MkdirAll(in, 0o755), os.WriteFile(filepath.Join(in, "sign.pub"), public, 0o644)); err != nil {
			t.Fatal(err)
		}
		keep(t, filepath.Join(in, "a"), private, 4<<10, lives("a", 40)...)
		keep(t, filepath.Join(in, "a"), private, 4<<10, lives("b", 9)...)
		keep(t, filepath.Join(in, "b"), private, 1<<20, lives("c", 13)...)
		for _, file := range []string{"a/lock", "a/spool", "b/lock", "b/spool"} {
			if err := os.Remove(filepath.Join(in, file)); err != nil {
				t.Fatal(err)
			}
		}
	}
	text, err := os.ReadFile(filepath.Join(in, "sign.pub"))
	keys = chain.Keys{}
	if err := errors.Join(err, keys.Add(text)); err != nil {
		t.Fatal(err)
	}
	return []string{in + "/a", in + "/b"}, keys
}

func TestReportsOfAnArchiveStayAsTheyWere(t *testing.T) {
	dirs, keys := archive(t)
	for name, o := range map[string]Options{
		"all":    {},
		"period": {Since: time.Date(2026, 11, 5, 0, 0, 0, 0, time.UTC), Until: time.Date(2026, 11, 15, 0, 0, 0, 0, time.UTC)},
		"claims": {Unverified: true},
	} {
		o.Directories, o.Samples = dirs, 3
		if !o.Unverified {
			o.Verify.Keys = keys
		}
		r := made(t, "owasp-mcp", o)
		for ext, write := range map[string]func(io.Writer) error{"md": r.Markdown, "html": r.HTML, "json": r.OSCAL, "proofs.json": func(w io.Writer) error {
			return r.Proofs(func(name string, proof []byte) error {
				p, err := verify.ParseProof(proof)
				if err == nil {
					err = p.Check(o.Verify.Keys)
				}
				_, werr := fmt.Fprintf(w, "%s %s", name, proof)
				return errors.Join(err, werr)
			})
		}} {
			var got bytes.Buffer
			if err := write(&got); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata/out", name+"."+ext)
			if *update {
				if err := errors.Join(os.MkdirAll("testdata/out", 0o755), os.WriteFile(path, got.Bytes(), 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(want, got.Bytes()) {
				t.Errorf("%s: %v; it is not as it was, and -update writes it anew", path, err)
			}
		}
	}
}

var many = flag.Int("receipts", 20000, "of which BenchmarkReport makes a report")

func BenchmarkReport(b *testing.B) {
	private, public, _, err := chain.GenerateKey()
	keys := chain.Keys{}
	if err := errors.Join(err, keys.Add(public)); err != nil {
		b.Fatal(err)
	}
	dir := filepath.Join(b.TempDir(), "receipts")
	members := lives("x", *many*6/9)
	keep(b, dir, private, 64<<20, members...)
	f, err := Load("owasp-mcp")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Make(f, Options{Directories: []string{dir}, Verify: verify.Options{Keys: keys}, Configuration: Configuration{Settings: settings}, Samples: 1}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(members))*float64(b.N)/b.Elapsed().Seconds(), "receipts/s")
}
