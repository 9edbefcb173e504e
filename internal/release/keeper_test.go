package release

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// text is a bundle whose archive holds its revision, and "bad" where it is none.
type text string

func (b text) Revision() string { return string(b) }

func archive(t testing.TB, revision string) []byte {
	t.Helper()
	data, err := pack(fstest.MapFS{"revision": {Data: []byte(revision)}})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func open(data []byte) (Bundle, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	r := tar.NewReader(z)
	if _, err := r.Next(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if _, err := b.ReadFrom(r); err != nil {
		return nil, err
	}
	if strings.HasPrefix(b.String(), "bad") {
		return nil, errors.New("does not verify")
	}
	return text(b.String()), nil
}

type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func keeper(t testing.TB, c *clock, stages ...Stage) *Keeper {
	t.Helper()
	k, err := NewKeeper(settings(c, stages...), State{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func settings(c *clock, stages ...Stage) Settings {
	return Settings{Source: "s", Open: open, Keep: 3, Now: c.Now, Stages: stages, Bounds: Bounds{Disagreement: 0.1, Errors: 0.1, After: 10}}
}

func offer(t testing.TB, k *Keeper, revision string) error {
	t.Helper()
	return k.Offer(Offer{Archive: archive(t, revision), Mark: revision}, nil)
}

func is(t testing.TB, k *Keeper, live, candidate string) {
	t.Helper()
	if s := k.Status(); s.Live != live || s.Candidate != candidate {
		t.Fatalf("%s judges and %q is on its way, not %s and %q (%s%s)", s.Live, s.Candidate, live, candidate, s.Error, s.Held)
	}
}

func TestTheLastGoodBundleJudges(t *testing.T) {
	k := keeper(t, &clock{})
	if err := offer(t, k, "bad"); err == nil || k.Plan().Live != nil {
		t.Fatalf("a bad first bundle: %v", err)
	}
	for _, step := range []struct {
		offer, live string
		err         bool
	}{
		{"1.0.0+a", "1.0.0+a", false},
		{"bad 1", "1.0.0+a", true},
		{"bad 1", "1.0.0+a", true}, // it is no better the second time
		{"1.1.0+b", "1.1.0+b", false},
		{"1.0.0+a", "1.0.0+a", false}, // flapping
		{"1.1.0+b", "1.1.0+b", false},
	} {
		if err := offer(t, k, step.offer); (err != nil) != step.err {
			t.Fatalf("%s: %v", step.offer, err)
		}
		is(t, k, step.live, "")
	}
	if err := k.Offer(Offer{}, errors.New("no route")); err == nil || k.Status().Error == "" {
		t.Error("nobody learns that the source cannot be asked")
	}
	if err := k.Offer(Offer{Mark: "1.1.0+b"}, nil); err != nil || k.Status().Error != "" {
		t.Errorf("the source is back: %v", err)
	}
	_ = offer(t, k, "bad 2")
	_ = k.Offer(Offer{}, errors.New("no route"))
	if e := k.Status().Error; !strings.Contains(e, "verify") {
		t.Errorf("a source in trouble hides that its bundle is bad: %s", e)
	}
	if err := k.Offer(Offer{Mark: "bad 2"}, nil); err == nil {
		t.Error("a bad bundle that has not changed is good")
	}
}

func TestARollbackHoldsUntilANewerVersionOrTheReleaseOfIt(t *testing.T) {
	k := keeper(t, &clock{})
	if _, err := k.Rollback(""); err == nil {
		t.Error("rolled back from nothing")
	}
	for _, r := range []string{"1.0.0+a", "1.1.0+b", "1.2.0+c"} {
		if err := offer(t, k, r); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := k.Rollback(""); err != nil || got != "1.1.0+b" {
		t.Fatalf("got %s, %v", got, err)
	}
	is(t, k, "1.1.0+b", "")
	var held *Held
	for _, r := range []string{"1.2.0+c", "1.0.0+a", "1.2.0+d", "1.2.0-rc.1+e", "nonsense+f"} {
		if err := offer(t, k, r); !errors.As(err, &held) {
			t.Errorf("%s is taken: %v", r, err)
		}
		is(t, k, "1.1.0+b", "")
	}
	if got, err := k.Rollback(""); err != nil || got != "1.0.0+a" {
		t.Fatalf("once more: %s, %v", got, err)
	}
	if err := offer(t, k, "1.2.0+c"); !errors.As(err, &held) {
		t.Errorf("two rollbacks, and the first is forgotten: %v", err)
	}
	if _, err := k.Rollback(""); err == nil {
		t.Error("rolled back beyond the first")
	}
	if got, err := k.Release(); err != nil || got != "1.2.0+c" {
		t.Fatalf("released: %s, %v", got, err)
	}
	is(t, k, "1.2.0+c", "")
	for to, want := range map[string]string{"1": "more than one", "9": "no kept", "1.2.0": "judges already"} {
		if _, err := k.Rollback(to); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("to %s: %v", to, err)
		}
	}
	if got, err := k.Rollback("1.0"); err != nil || got != "1.0.0+a" {
		t.Fatalf("to 1.0: %s, %v", got, err)
	}
	if err := offer(t, k, "1.3.0+g"); err != nil {
		t.Errorf("a newer version is held: %v", err)
	}
	is(t, k, "1.3.0+g", "")
	if s := k.Status(); s.Pin != nil || s.Held != "" || len(s.Kept) != 3 {
		t.Errorf("got %+v", s)
	}
}

func TestWhatIsKeptOutlivesTheProcessAndIsVerifiedAgain(t *testing.T) {
	dir, c := filepath.Join(t.TempDir(), "store"), &clock{}
	k, shelf := keeper(t, c), &Shelf{Dir: dir}
	for _, r := range []string{"1.0.0+a", "1.1.0+b", "1.2.0+c", "1.3.0+d"} {
		if err := offer(t, k, r); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := k.Rollback(""); err != nil {
		t.Fatal(err)
	}
	if err := k.Save(shelf); err != nil {
		t.Fatal(err)
	}
	if err := (&Shelf{Dir: dir}).Save(State{}, nil); err == nil || !strings.Contains(err.Error(), "another gateway") {
		t.Errorf("two gateways write one folder: %v", err)
	}
	again := func() (*Keeper, error) {
		t.Helper()
		state, err := shelf.Load()
		if err != nil {
			t.Fatal(err)
		}
		return NewKeeper(settings(c), state, shelf.Archive)
	}
	k, err := again()
	if err != nil {
		t.Fatal(err)
	}
	is(t, k, "1.2.0+c", "")
	var held *Held
	if err := offer(t, k, "1.3.0+d"); err != nil && !errors.As(err, &held) {
		t.Error(err)
	}
	is(t, k, "1.2.0+c", "")
	if files, _ := filepath.Glob(filepath.Join(dir, "*.tar.gz")); len(files) != 3 {
		t.Errorf("%d archives are kept, not 3", len(files))
	}
	state, _ := shelf.Load()
	state.Source = "elsewhere"
	if k, err = NewKeeper(settings(c), state, shelf.Archive); err != nil || k.Plan().Live != nil || len(k.Status().Kept) != 3 {
		t.Errorf("another source's bundle judges: %v, %+v", err, k.Status())
	}
	// Whoever can write the folder cannot make another bundle of one.
	live := sum(archive(t, "1.2.0+c"))
	if err := os.WriteFile(filepath.Join(dir, live+".tar.gz"), archive(t, "6.6.6+f"), 0o600); err != nil {
		t.Fatal(err)
	}
	if k, err = again(); err == nil || k.Plan().Live != nil {
		t.Errorf("an archive was exchanged, and judges: %v", err)
	}
	forged := archive(t, "bad")
	state.Source, state.Kept[1].Archive = "s", sum(forged)
	if err := os.WriteFile(filepath.Join(dir, sum(forged)+".tar.gz"), forged, 0o600); err != nil {
		t.Fatal(err)
	}
	if k, err = NewKeeper(settings(c), state, shelf.Archive); err == nil || k.Plan().Live != nil {
		t.Errorf("an archive that does not verify judges: %v", err)
	}
	state.Kept[1].Archive = "../../../etc/passwd"
	if _, err = NewKeeper(settings(c), state, shelf.Archive); err == nil || !strings.Contains(err.Error(), "names no archive") {
		t.Errorf("got %v", err)
	}
}

func TestAStateThatCannotBeReadIsNotForgotten(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "state.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (&Shelf{Dir: dir}).Load(); err == nil {
		t.Error("a rollback could be lost so")
	}
}

func TestArchivesThatWouldFillTheMemoryAreRefused(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	if _, err := z.Write(make([]byte, 4<<20)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := check(bomb.Bytes(), 1<<20); err == nil || !strings.Contains(err.Error(), "unpacks to more") {
		t.Errorf("%d bytes that become 4 MiB: %v", bomb.Len(), err)
	}
	whole := archive(t, "1.0.0+a")
	for name, data := range map[string][]byte{"half an archive": whole[:len(whole)-6], "no archive": []byte("<html>"), "nothing": {}} {
		k := keeper(t, &clock{})
		if err := k.Offer(Offer{Archive: data}, nil); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestADirectoryIsOneArchiveWhateverItsFilesAreCalled(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "..data", "rules.rego")
	for _, p := range []string{"a", "..data", ".git"} {
		if err := os.Mkdir(filepath.Join(dir, p), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []string{target, filepath.Join(dir, "a", "data.json"), filepath.Join(dir, ".git", "config"), filepath.Join(dir, ".manifest")} {
		if err := os.WriteFile(p, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(target, filepath.Join(dir, "rules.rego")); err != nil { // as Kubernetes does
		t.Fatal(err)
	}
	first, err := Local{dir}.Fetch(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(first.Archive))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err != nil {
			break
		}
		names = append(names, h.Name)
	}
	if got, want := strings.Join(names, " "), "/.manifest /a/data.json /rules.rego"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if again, err := (Local{dir}).Fetch(t.Context(), first.Mark, 0); err != nil || again.Archive != nil {
		t.Errorf("nothing has changed: %d bytes, %v", len(again.Archive), err)
	}
	if _, err := (Local{filepath.Join(dir, "none")}).Fetch(t.Context(), "", 0); err == nil {
		t.Error("what is not there was fetched")
	}
}

// Whoever stands in for a bundle server has every release that was ever signed.
func TestAnOlderBundleIsHeldAlsoAfterARestartUntilItIsReleased(t *testing.T) {
	c := &clock{}
	with := settings(c)
	with.Forward = true
	k, err := NewKeeper(with, State{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, revision := range []string{"1.0.0+a", "1.2.0+b"} {
		if err := offer(t, k, revision); err != nil {
			t.Fatal(err)
		}
	}
	held := func(k *Keeper, revision string) {
		t.Helper()
		if err := offer(t, k, revision); err == nil || !strings.Contains(err.Error(), "is older than 1.2.0+b") {
			t.Errorf("%s: %v", revision, err)
		}
		is(t, k, "1.2.0+b", "")
	}
	held(k, "1.1.9+c")
	held(k, "1.0.0+a")
	held(k, "nightly")
	state, archives := k.State()
	k, err = NewKeeper(with, state, func(sum string) ([]byte, error) { return archives[sum], nil })
	if err != nil {
		t.Fatal(err)
	}
	held(k, "1.1.9+c")
	if _, err := k.Release(); err != nil {
		t.Fatal(err)
	}
	is(t, k, "1.1.9+c", "")
	if err := offer(t, k, "1.1.9+d"); err != nil {
		t.Fatal(err)
	}
	is(t, k, "1.1.9+d", "")
	if _, err := k.Rollback("1.2.0"); err != nil {
		t.Fatal(err)
	}
	is(t, k, "1.2.0+b", "")
}

func TestAnOlderBundleOfAFileIsTaken(t *testing.T) {
	k := keeper(t, &clock{})
	for _, revision := range []string{"1.2.0", "1.0.0"} {
		if err := offer(t, k, revision); err != nil {
			t.Fatal(err)
		}
		is(t, k, revision, "")
	}
}
