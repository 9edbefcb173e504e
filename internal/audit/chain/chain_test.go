package chain_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/audit/chain"
)

func hashes(n int) []chain.Hash {
	out := make([]chain.Hash, n)
	for i := range out {
		out[i] = sha256.Sum256([]byte(strconv.Itoa(i)))
	}
	return out
}

// naive is RFC 6962, 2.1, word for word.
func naive(lines []chain.Hash) chain.Hash {
	switch len(lines) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return sha256.Sum256(append([]byte{0}, lines[0][:]...))
	}
	k := 1
	for 2*k < len(lines) {
		k *= 2
	}
	l, r := naive(lines[:k]), naive(lines[k:])
	return sha256.Sum256(slices.Concat([]byte{1}, l[:], r[:]))
}

func TestTheTreeAndItsProofsAreThoseOfRFC6962(t *testing.T) {
	all := hashes(70)
	tree := chain.NewTree(chain.NewHasher())
	for n := 0; n <= len(all); n++ {
		lines, root := all[:n], naive(all[:n])
		levels := chain.NewLevels(lines)
		if got := tree.Root(); got != root {
			t.Fatalf("root of %d: %v, want %v", n, got, root)
		}
		for i := range lines {
			path := chain.Inclusion(lines, i)
			if !slices.Equal(path, levels.Inclusion(i)) {
				t.Fatalf("leaf %d of %d has another path in a whole tree", i, n)
			}
			if !chain.Included(lines[i], uint64(i), uint64(n), path, root) {
				t.Fatalf("leaf %d of %d is not proved", i, n)
			}
			if chain.Included(all[(i+1)%70], uint64(i), uint64(n), path, root) || n > 1 && chain.Included(lines[i], uint64((i+1)%n), uint64(n), path, root) ||
				chain.Included(lines[i], uint64(i), uint64(n), append(path, root), root) || len(path) > 0 && chain.Included(lines[i], uint64(i), uint64(n), path[1:], root) {
				t.Fatalf("a false proof for leaf %d of %d passes", i, n)
			}
			m := i + 1
			path = chain.Consistency(lines, m)
			old := naive(lines[:m])
			if !chain.Consistent(uint64(m), uint64(n), path, old, root) {
				t.Fatalf("%d is not proved to be the beginning of %d", m, n)
			}
			if m < n && (chain.Consistent(uint64(m), uint64(n), path, root, root) || chain.Consistent(uint64(m), uint64(n), path, old, old) ||
				chain.Consistent(uint64(m), uint64(n), append(path, root), old, root)) {
				t.Fatalf("a false proof of %d to %d passes", m, n)
			}
		}
		if n < len(all) {
			tree.Add(all[n])
		}
	}
}

const replica = "0123456789abcdef"

func TestLinesAreReadAsTheyAreWritten(t *testing.T) {
	text := chain.AppendReceipt(nil, replica, 7)
	text = append(text, `"action":"deny"`...)
	prev := hashes(1)[0]
	h := chain.NewHasher().Line(prev, text)
	if want := sha256.Sum256(slices.Concat(prev[:], text)); h != want {
		t.Errorf("hash %v, want %x", h, want)
	}
	line := chain.AppendSeal(slices.Clone(text), h)
	l, err := chain.Parse(bytes.TrimSuffix(line, []byte("\n")))
	if err != nil || l.Seq != 7 || l.Replica != replica || l.Record != "" || l.Hash != h || !bytes.Equal(l.Text, text) {
		t.Errorf("%v: %+v", err, l)
	}
	end := chain.AppendSeal(chain.AppendRecord(nil, replica, 7, chain.RecordEnd), h)
	if l, err = chain.Parse(bytes.TrimSuffix(end, []byte("\n"))); err != nil || l.Record != chain.RecordEnd || l.Seq != 7 {
		t.Errorf("%v: %+v", err, l)
	}
}

func TestLinesThatTheWriterNeverWritesAreNone(t *testing.T) {
	hash := `,"hash":"` + strings.Repeat("a", 64) + `"}`
	const begin = `{"v":1,"replica":"` + replica + `","seq":7,"a":1`
	if _, err := chain.Parse([]byte(begin + hash)); err != nil {
		t.Fatal(err)
	}
	for name, line := range map[string]string{
		"nothing":                 "",
		"only a hash":             hash,
		"an upper-case hash":      begin + strings.Replace(hash, "a\"}", "A\"}", 1),
		"a short hash":            begin + strings.Replace(hash, "aa", "a", 1),
		"another version":         strings.Replace(begin, `"v":1`, `"v":2`, 1) + hash,
		"a leading zero":          strings.Replace(begin, ":7", ":07", 1) + hash,
		"a sign":                  strings.Replace(begin, ":7", ":+7", 1) + hash,
		"a number without end":    strings.Replace(begin, ":7,", ":77777777777777777777777,", 1) + hash,
		"a space":                 " " + begin + hash,
		"an unknown record":       `{"v":1,"replica":"` + replica + `","after":7,"record":"fun"` + hash,
		"a record without kind":   `{"v":1,"replica":"` + replica + `","after":7,"a":1` + hash,
		"an upper-case replica":   strings.Replace(begin, "abcdef", "ABCDEF", 1) + hash,
		"something after its end": begin + hash + " ",
	} {
		if l, err := chain.Parse([]byte(line)); err == nil {
			t.Errorf("%s: %+v", name, l)
		}
	}
}

func key(t testing.TB) (ed25519.PrivateKey, chain.Keys, string) {
	t.Helper()
	private, public, id, err := chain.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	k, err := chain.ParsePrivateKey(private)
	keys := chain.Keys{}
	if err != nil || keys.Add(public) != nil || keys[id] == nil {
		t.Fatal(err, keys)
	}
	return k, keys, id
}

func TestACheckpointIsSignedAndCanBeWrittenInOneWayOnly(t *testing.T) {
	k, keys, id := key(t)
	line, err := chain.Checkpoint{Replica: replica, Number: 3, Time: time.Now(), Segment: 2, Lines: 9, Seq: 12, Head: hashes(1)[0], Final: true}.Sign(k)
	if err != nil {
		t.Fatal(err)
	}
	line = bytes.TrimSuffix(line, []byte("\n"))
	c, err := chain.ParseCheckpoint(line)
	if err != nil || !c.Signed(keys[id]) || c.Key != id || c.Seq != 12 || !c.Final {
		t.Fatalf("%v: %+v", err, c)
	}
	for i := range line {
		for _, bit := range []byte{1, 4, 32} {
			forged := bytes.Clone(line)
			forged[i] ^= bit
			if c, err := chain.ParseCheckpoint(forged); err == nil && c.Signed(keys[id]) && c.Key == id {
				t.Fatalf("byte %d can be %q: %s", i, forged[i], forged)
			}
		}
	}
	for name, forged := range map[string]string{
		"another order":      `{"replica":"` + replica + `","v":1` + string(line[len(`{"v":1,"replica":"`+replica+`"`):]),
		"a second member":    strings.Replace(string(line), `{"v":1`, `{"v":1,"v":1`, 1),
		"one more member":    strings.Replace(string(line), `,"key"`, `,"x":1,"key"`, 1),
		"a space":            strings.Replace(string(line), `,"key"`, `, "key"`, 1),
		"a name in capitals": strings.Replace(string(line), `"lines"`, `"Lines"`, 1),
	} {
		if _, err := chain.ParseCheckpoint([]byte(forged)); err == nil {
			t.Errorf("%s passes", name)
		}
	}
	other, _, _ := key(t)
	again, err := c.Sign(other)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = chain.ParseCheckpoint(bytes.TrimSuffix(again, []byte("\n"))); err != nil || c.Signed(keys[id]) {
		t.Errorf("%v: another key's signature passes for ours", err)
	}
}

func TestKeysThatAreNone(t *testing.T) {
	private, public, _, err := chain.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "secret-thing", string(public), strings.Replace(string(private), "M", "N", 1)} {
		if _, err := chain.ParsePrivateKey([]byte(text)); err == nil || strings.Contains(err.Error(), "secret-thing") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"", "x", string(private)} {
		if err := (chain.Keys{}).Add([]byte(text)); err == nil {
			t.Errorf("%q is taken for a public key", text)
		}
	}
	two := chain.Keys{}
	_, second, _, _ := chain.GenerateKey()
	if err := two.Add(append(public, second...)); err != nil || len(two) != 2 {
		t.Errorf("%v, %d keys of 2", err, len(two))
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"v":1,"replica":"0123456789abcdef","seq":7,"a":1,"hash":"` + hex.EncodeToString(make([]byte, 32)) + `"}`))
	f.Add([]byte(`{"v":1,"replica":"0123456789abcdef","after":7,"record":"end","hash":"` + hex.EncodeToString(make([]byte, 32)) + `"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		l, err := chain.Parse(line)
		if err != nil {
			return
		}
		if again := chain.AppendSeal(bytes.Clone(l.Text), l.Hash); !bytes.Equal(again, append(bytes.Clone(line), '\n')) {
			t.Errorf("%q is written as %q", line, again)
		}
		var begin []byte
		if l.Record == "" {
			begin = chain.AppendReceipt(nil, l.Replica, l.Seq)
		} else {
			begin = chain.AppendRecord(nil, l.Replica, l.Seq, l.Record)
		}
		if !bytes.HasPrefix(line, begin) {
			t.Errorf("%q does not begin with %q", line, begin)
		}
	})
}

func FuzzParseCheckpoint(f *testing.F) {
	k, _, _ := key(f)
	line, err := chain.Checkpoint{Replica: replica, Number: 1, Time: time.Unix(0, 0)}.Sign(k)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(bytes.TrimSuffix(line, []byte("\n")))
	f.Fuzz(func(t *testing.T, line []byte) {
		if c, err := chain.ParseCheckpoint(line); err == nil && c.Version != 1 {
			t.Errorf("%+v", c)
		}
	})
}
