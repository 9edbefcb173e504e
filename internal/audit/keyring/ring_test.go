package keyring_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/audit/keyring"
)

func wrapper(t testing.TB, seed byte) keyring.Wrapper {
	t.Helper()
	w, err := keyring.NewLocal(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{seed}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func open(t testing.TB, dir string, ws ...keyring.Wrapper) *keyring.Ring {
	t.Helper()
	r, err := keyring.Open(t.Context(), keyring.Options{Directory: dir, Wrappers: ws, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func current(t testing.TB, r *keyring.Ring, o keyring.Owner) *keyring.Key {
	t.Helper()
	k, err := r.Current(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func alice() keyring.Owner {
	return keyring.Owner{Kind: keyring.Subject, Tenant: "acme", Issuer: "https://idp", Subject: "alice"}
}

var at = keyring.Place{Exchange: "e1", Time: "2026-11-01T12:00:00Z", Direction: "to_server", Tenant: "acme", What: "arguments"}

func TestABoxOpensOnlyWhereItWasMadeAndWithAllOfItsKeys(t *testing.T) {
	r := open(t, t.TempDir(), wrapper(t, 1))
	tenant, subject, other := current(t, r, keyring.TenantOf("acme")), current(t, r, alice()), current(t, r, keyring.TenantOf("umbrella"))
	keys := []*keyring.Key{tenant, subject}
	box, err := keyring.Seal(keys, at, []byte(`{"iban":"DE1"}`))
	if err != nil || bytes.Contains(box, []byte("iban")) {
		t.Fatal(err, box)
	}
	if plain, err := keyring.Unseal(keys, at, box); err != nil || string(plain) != `{"iban":"DE1"}` {
		t.Fatal(err, plain)
	}
	moved := func(f func(*keyring.Place)) keyring.Place { p := at; f(&p); return p }
	for name, c := range map[string]struct {
		keys []*keyring.Key
		at   keyring.Place
	}{
		"in another receipt":                 {keys, moved(func(p *keyring.Place) { p.Exchange = "e2" })},
		"in another receipt of the exchange": {keys, moved(func(p *keyring.Place) { p.Time = "2026-11-01T12:00:01Z" })},
		"in the receipt of the reply":        {keys, moved(func(p *keyring.Place) { p.Direction = "to_client" })},
		"in another tenant's receipt":        {keys, moved(func(p *keyring.Place) { p.Tenant = "umbrella" })},
		"as another part":                    {keys, moved(func(p *keyring.Place) { p.What = "result" })},
		"with names shifted":                 {keys, moved(func(p *keyring.Place) { p.Exchange, p.Time = "e", "12026-11-01T12:00:00Z" })},
		"with the tenant's key alone":        {keys[:1], at},
		"with the subject's key alone":       {keys[1:], at},
		"with the keys in another order":     {[]*keyring.Key{subject, tenant}, at},
		"with another tenant's key":          {[]*keyring.Key{other, subject}, at},
		"without keys":                       {nil, at},
	} {
		if plain, err := keyring.Unseal(c.keys, c.at, box); err == nil {
			t.Errorf("%s it opens: %s", name, plain)
		}
	}
	for i := range box {
		bad := bytes.Clone(box)
		bad[i] ^= 1
		if _, err := keyring.Unseal(keys, at, bad); !errors.Is(err, keyring.ErrBox) {
			t.Errorf("byte %d changed: %v", i, err)
		}
		if _, err := keyring.Unseal(keys, at, box[:i]); err == nil {
			t.Errorf("cut to %d bytes it opens", i)
		}
	}
	if again, _ := keyring.Seal(keys, at, []byte(`{"iban":"DE1"}`)); bytes.Equal(again, box) {
		t.Error("what is equal is sealed alike")
	}
}

func TestADestroyedKeyIsGoneEverywhereAndForGood(t *testing.T) {
	dir, w := t.TempDir(), wrapper(t, 1)
	r, running := open(t, dir, w), open(t, dir, w)
	gone, kept := current(t, r, keyring.TenantOf("acme")), current(t, r, keyring.TenantOf("umbrella"))
	person := current(t, r, alice())
	if k := current(t, running, keyring.TenantOf("acme")); k.ID != gone.ID {
		t.Fatal("two processes seal under two keys")
	}
	backup, err := os.ReadFile(filepath.Join(dir, "keys.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	ids, err := r.Destroy(t.Context(), func(k *keyring.Key) bool { return k.Owner.Tenant == "acme" })
	if err != nil || len(ids) != 2 {
		t.Fatal(ids, err)
	}
	left, err := os.ReadFile(filepath.Join(dir, "keys.jsonl"))
	if err != nil || bytes.Contains(left, []byte(gone.ID)) || bytes.Contains(left, []byte(person.ID)) {
		t.Fatalf("%v: %s", err, left)
	}
	if err := running.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	check := func(when string, r *keyring.Ring) {
		t.Helper()
		for _, id := range ids {
			if _, err := r.Key(id); !errors.Is(err, keyring.ErrDestroyed) {
				t.Errorf("%s: %v", when, err)
			}
		}
		if k, err := r.Key(kept.ID); err != nil || k.ID != kept.ID {
			t.Errorf("%s: the other tenant's: %v", when, err)
		}
	}
	check("in the process that did it", r)
	check("in a process that runs", running)
	check("after a restart", open(t, dir, w))
	if err := os.WriteFile(filepath.Join(dir, "keys.jsonl"), backup, 0o600); err != nil {
		t.Fatal(err)
	}
	check("with the file of before put back", open(t, dir, w))
	if err := os.Remove(filepath.Join(dir, "destroyed.jsonl")); err != nil {
		t.Fatal(err)
	}
	if err := running.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("with both files put back, in a process that runs", running)
	if fresh := current(t, running, keyring.TenantOf("acme")); fresh.ID == gone.ID {
		t.Error("a tenant that comes back gets its destroyed key back")
	}
}

// What a copy of the ring, and of everything else but the new wrapping key, is
// worth after the wrapping key was changed and the old one destroyed.
func TestAnOldCopyIsWorthNothingWithoutTheOldWrappingKey(t *testing.T) {
	dir, first, second := t.TempDir(), wrapper(t, 1), wrapper(t, 2)
	r := open(t, dir, first)
	k := current(t, r, keyring.TenantOf("acme"))
	old, _ := os.ReadFile(filepath.Join(dir, "keys.jsonl"))
	both := open(t, dir, second, first)
	if n, err := both.Rewrap(t.Context()); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	only := open(t, dir, second)
	if same, err := only.Key(k.ID); err != nil || same.ID != k.ID {
		t.Fatal(err)
	}
	copied := t.TempDir()
	if err := os.WriteFile(filepath.Join(copied, "keys.jsonl"), old, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.Open(t.Context(), keyring.Options{Directory: copied, Wrappers: []keyring.Wrapper{second}, Now: time.Now}); err == nil {
		t.Error("the old copy opens with the new key")
	}
	if _, err := open(t, copied, first).Key(k.ID); err != nil {
		t.Errorf("the test tells nothing: %v", err)
	}
	current(t, only, keyring.TenantOf("umbrella"))
	if _, err := open(t, dir, first, second).Rewrap(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "keys.jsonl.new")); err == nil {
		t.Error("a half-written file stays")
	}
}

func TestALineOfTheFilePassesForNoOther(t *testing.T) {
	dir, w := t.TempDir(), wrapper(t, 1)
	r := open(t, dir, w)
	a, b := current(t, r, keyring.TenantOf("acme")), current(t, r, keyring.TenantOf("umbrella"))
	path := filepath.Join(dir, "keys.jsonl")
	text, _ := os.ReadFile(path)
	for name, forged := range map[string]string{
		"the one tenant's key under the other's id": strings.ReplaceAll(string(text), b.ID, a.ID),
		"as a subject's": strings.ReplaceAll(string(text), `"kind":"tenant"`, `"kind":"subject"`),
		"half of it":     string(text[:len(text)/4]),
		"nothing of it":  "{}\nnull\n[]\n\"x\"\n",
	} {
		if err := os.WriteFile(path, []byte(forged), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := keyring.Open(t.Context(), keyring.Options{Directory: dir, Wrappers: []keyring.Wrapper{w}, Now: time.Now})
		if err != nil {
			continue
		}
		if k, err := r.Key(b.ID); err == nil {
			t.Errorf("%s: %v of %v", name, k, k.Owner)
		}
		if k, err := r.Key(a.ID); err == nil && k.Owner.Tenant != "acme" {
			t.Errorf("%s: %v", name, k.Owner)
		}
	}
}

func TestKeysRotateAndOldOnesStillOpen(t *testing.T) {
	now := time.Now()
	r, err := keyring.Open(t.Context(), keyring.Options{Directory: t.TempDir(), Wrappers: []keyring.Wrapper{wrapper(t, 1)}, Rotate: time.Hour, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	first, person := current(t, r, keyring.TenantOf("acme")), current(t, r, alice())
	box, _ := keyring.Seal([]*keyring.Key{first}, at, []byte("x"))
	now = now.Add(2 * time.Hour)
	second := current(t, r, keyring.TenantOf("acme"))
	if second.ID == first.ID {
		t.Error("an old key seals")
	}
	if k := current(t, r, alice()); k.ID != person.ID {
		t.Error("a person's pseudonym changed by itself")
	}
	if third, err := r.Rotate(t.Context(), keyring.TenantOf("acme")); err != nil || current(t, r, keyring.TenantOf("acme")).ID != third.ID {
		t.Error(err)
	}
	k, err := r.Key(first.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.Unseal([]*keyring.Key{k}, at, box); err != nil {
		t.Error(err)
	}
}

func TestProcessesThatMeetAnOwnerAtOnceAgree(t *testing.T) {
	dir, w := t.TempDir(), wrapper(t, 1)
	var all sync.WaitGroup
	got := make([]string, 12)
	rings := []*keyring.Ring{open(t, dir, w), open(t, dir, w), open(t, dir, w)}
	for i := range got {
		all.Go(func() { got[i] = current(t, rings[i%3], keyring.TenantOf("acme")).ID })
	}
	all.Wait()
	for _, id := range got {
		if id != got[0] {
			t.Fatalf("%v", got)
		}
	}
}

func TestAKillWhileAKeyIsWrittenLosesNoOther(t *testing.T) {
	dir, w := t.TempDir(), wrapper(t, 1)
	r := open(t, dir, w)
	a := current(t, r, keyring.TenantOf("acme"))
	path := filepath.Join(dir, "keys.jsonl")
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.WriteString(`{"v":1,"id":"00`)
	_ = f.Close()
	b := current(t, r, keyring.TenantOf("umbrella"))
	again := open(t, dir, w)
	for _, k := range []*keyring.Key{a, b} {
		if _, err := again.Key(k.ID); err != nil {
			t.Error(err)
		}
	}
}

func TestNoSecretIsPrinted(t *testing.T) {
	key := bytes.Repeat([]byte{'K'}, 32)
	text := base64.StdEncoding.EncodeToString(key)
	for _, bad := range []string{text[:40], text + "x", "", "K"} {
		if _, err := keyring.NewLocal(bad); err == nil || bad != "" && len(bad) > 8 && strings.Contains(err.Error(), bad[:8]) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	dir := t.TempDir()
	r := open(t, dir, wrapper(t, 'K'))
	k := current(t, r, alice())
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "key", k)
	fmt.Fprintf(&out, "%v %+v %#v %s", k, k, k, k)
	if got := strings.Count(out.String(), k.ID); got != 5 || strings.Contains(out.String(), "alice") {
		t.Errorf("%s", out.String())
	}
	file, _ := os.ReadFile(filepath.Join(dir, "keys.jsonl"))
	for _, never := range []string{"alice", "acme", "idp"} {
		if bytes.Contains(file, []byte(never)) {
			t.Errorf("the file tells %s: %s", never, file)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "keys.jsonl")); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
}

func BenchmarkSeal(b *testing.B) {
	r := open(b, b.TempDir(), wrapper(b, 1))
	keys := []*keyring.Key{current(b, r, keyring.TenantOf("acme")), current(b, r, alice())}
	for _, n := range []int{128, 4096} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			plain := make([]byte, n)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := keyring.Seal(keys, at, plain); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCurrent(b *testing.B) {
	r := open(b, b.TempDir(), wrapper(b, 1))
	o := alice()
	current(b, r, o)
	for b.Loop() {
		_, _ = r.Current(context.Background(), o)
	}
}

// The disk is full, or somebody takes the folder's permissions away, between the note
// that a key is destroyed and its going: it must be unusable at once, here and in every
// other process, and the next try must take it out of the file.
func TestADestructionThatWasBrokenOffIsFinishedByTheNext(t *testing.T) {
	dir := t.TempDir()
	r, gateway := open(t, dir, wrapper(t, 1)), open(t, dir, wrapper(t, 1))
	current(t, r, keyring.TenantOf("acme"))
	k := current(t, r, alice())
	if err := gateway.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := gateway.Key(k.ID); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "keys.jsonl.new", "x"), 0o700); err != nil { // no file can be there
		t.Fatal(err)
	}
	alices := func(k *keyring.Key) bool { return k.Owner.Subject == "alice" }
	if _, err := r.Destroy(t.Context(), alices); err == nil {
		t.Fatal("nothing was broken off")
	}
	if err := gateway.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, ring := range map[string]*keyring.Ring{"here": r, "in the gateway": gateway} {
		if _, err := ring.Key(k.ID); !errors.Is(err, keyring.ErrDestroyed) {
			t.Errorf("%s it is used still: %v", name, err)
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, "keys.jsonl.new")); err != nil {
		t.Fatal(err)
	}
	again := open(t, dir, wrapper(t, 1))
	if _, err := again.Destroy(t.Context(), alices); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "keys.jsonl"))
	if err != nil || bytes.Contains(text, []byte(k.ID)) || bytes.Count(text, []byte("\n")) != 1 {
		t.Errorf("%v\n%s", err, text)
	}
}

// A copy of the key file is put back: rewrapping must not wrap destroyed keys anew.
func TestRewrappingTakesDestroyedKeysOutOfAFileThatWasPutBack(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir, wrapper(t, 1))
	current(t, r, keyring.TenantOf("acme"))
	k := current(t, r, alice())
	path := filepath.Join(dir, "keys.jsonl")
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Destroy(t.Context(), func(k *keyring.Key) bool { return k.Owner.Subject == "alice" }); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, dir, wrapper(t, 2), wrapper(t, 1)).Rewrap(t.Context()); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || bytes.Contains(text, []byte(k.ID)) {
		t.Errorf("%v\n%s", err, text)
	}
}

// A process is killed while it notes which keys it is about to destroy: the gateway
// must start again, and what was noted before counts.
func TestHalfANoteOfADestructionLocksNobodyOut(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir, wrapper(t, 1))
	k := current(t, r, alice())
	if _, err := r.Destroy(t.Context(), func(*keyring.Key) bool { return true }); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "destroyed.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(`{"v":1,"id":"00`)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, dir, wrapper(t, 1)).Key(k.ID); !errors.Is(err, keyring.ErrDestroyed) {
		t.Error(err)
	}
}
