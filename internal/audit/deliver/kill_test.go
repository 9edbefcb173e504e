package deliver

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// picky refuses some receipts for good.
type picky struct{}

func (picky) Deliver(_ context.Context, items []*Item) (out Outcome, err error) {
	for i, it := range items {
		if it.Kind == Receipt && it.Seq%3 == 0 {
			out.Refused = append(out.Refused, Refusal{i, "no"})
		}
	}
	return out, nil
}
func (picky) Close() error { return nil }

// TestVictim is the process that the test below kills; it ends by itself should that be gone.
func TestVictim(t *testing.T) {
	dir := os.Getenv("DELIVER_VICTIM")
	if dir == "" {
		return // somebody runs all tests
	}
	g := openLog(t, dir)
	g.seq.Store(g.l.Seq())
	o := g.options()
	o.dead = 20_000 // put aside often
	o.Tell = func(sink, why string) { fmt.Fprintln(os.Stdout, "DISTRUST", sink, why) }
	s := New(o)
	g.set.Store(s)
	spec := func(name string) Spec {
		return Spec{Name: name, Kind: "picky", Same: name, Newest: name == "late", Open: func() (Sink, error) { return picky{}, nil }, Items: 20, Bytes: 1 << 20, Wait: time.Millisecond, Timeout: time.Second, Retry: 20 * time.Millisecond}
	}
	if err := s.Apply([]Spec{spec("one"), spec("late")}); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(os.Stdout, "BEGUN")
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		g.add(rand.IntN(30), `,"subject":"u`+fmt.Sprint(rand.IntN(5))+`"`)
		time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
	}
}

// Whatever a killed process leaves is what it left: letters that its place does not know
// yet, a file of them that was just put aside, a sink that the log does not name yet.
func TestAKilledGatewayTellsOfNobodyElse(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "receipts")
	for i := range 8 {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestVictim$")
		cmd.Env = append(os.Environ(), "DELIVER_VICTIM="+dir)
		var words bytes.Buffer
		cmd.Stderr = &words
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if i%3 != 0 {
			time.AfterFunc(time.Duration(rand.IntN(600))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		}
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			switch line := lines.Text(); {
			case strings.HasPrefix(line, "DISTRUST"):
				t.Errorf("start %d: %s", i, line)
			case line == "BEGUN" && i%3 == 0:
				time.AfterFunc(time.Duration(rand.IntN(400))*time.Millisecond, func() { _ = cmd.Process.Kill() })
			case line != "BEGUN":
				t.Log(line)
			}
		}
		_ = cmd.Wait()
	}
	for _, sink := range []string{"one", "late"} {
		m, err := ReadMemory(dir, sink)
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := m.kept(dir, 20_000); m.Distrusted != nil || m.Missed > 0 || !ok || err != nil {
			t.Errorf("%s: %+v, missed %d, letters kept %v %v", sink, m.Distrusted, m.Missed, ok, err)
		}
	}
}
