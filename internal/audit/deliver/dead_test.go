package deliver

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// What was refused for good must not vanish without a trace.
func TestDeadLettersThatAreTakenAwayOrPutInComeToLight(t *testing.T) {
	for _, c := range []struct {
		name   string
		attack func(s *scene, path string)
		says   string
		want   []uint64 // receipts in the letters at the end
	}{
		{"nothing was changed", func(*scene, string) {}, "", []uint64{7, 9}},
		{"the file is removed", func(s *scene, path string) { s.remove(path) }, "dead letters are gone", []uint64{7, 9}},
		{"one is cut off", func(s *scene, path string) {
			s.write(path, bytes.SplitAfter(s.read(path), []byte("\n"))[0])
		}, "dead letters are gone", []uint64{7, 7, 9}},
		{"one is altered", func(s *scene, path string) {
			s.write(path, bytes.Replace(s.read(path), []byte(`"seq":9`), []byte(`"seq":8`), 1))
		}, "dead letters are gone", []uint64{7, 8, 7, 9}},
		{"they are put aside, as if the file were full", func(s *scene, path string) {
			s.write(path+".1", s.read(path))
			s.remove(path)
		}, "dead letters are gone", []uint64{7, 9}},
		{"one is put in behind", func(s *scene, path string) {
			s.write(path, append(s.read(path), "{\"seq\":20}\n"...))
		}, "", []uint64{7, 9, 35}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &scene{T: t, dir: t.TempDir()}
			refuses := func(it *Item) string {
				if it.Kind == Receipt && (it.Seq == 7 || it.Seq == 9 || it.Seq == 35 && c.says == "" && len(c.want) == 3) {
					return "no"
				}
				return ""
			}
			spec := func(d *sinkDouble) Spec { d.refuses, d.parts = refuses, true; return d.spec("a") }
			play(t, s.dir, 30, spec(new(sinkDouble)), new(sinkDouble).spec("b"))
			c.attack(s, s.path("a", DeadFile))
			g := openLogOf(t, s.dir, 1<<20)
			g.seq.Store(30)
			var said []string
			o := g.options()
			o.Tell = func(_, why string) { said = append(said, why) }
			set := New(o)
			if err := set.Apply([]Spec{spec(new(sinkDouble))}); err != nil {
				t.Fatal(err)
			}
			g.add(5, "")
			closeSet(set, 10*time.Second)
			g.close()
			var got []uint64
			for _, l := range letters(t, s.read(s.path("a", DeadFile))) {
				got = append(got, l.Seq)
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) || (c.says == "") != (len(said) == 0) || !strings.Contains(strings.Join(said, ""), c.says) {
				t.Errorf("letters %v, want %v; said %q", got, c.want, said)
			}
		})
	}
}

// Letters of what came again can be of receipts before the first one in the file.
func TestDeadLettersOfAReplayComeAgainToo(t *testing.T) {
	s := &scene{T: t, dir: t.TempDir()}
	var refused sync.Map
	refused.Store(uint64(9), true)
	start := func() (*testLog, *Set) {
		d := &sinkDouble{parts: true, refuses: func(it *Item) string {
			if _, no := refused.Load(it.Seq); no && it.Kind == Receipt {
				return "no"
			}
			return ""
		}}
		g := openLogOf(t, s.dir, 1<<20)
		spec := d.spec("a")
		spec.Items = 5
		return g, openSet(t, g, spec)
	}
	g, set := start()
	g.add(30, "")
	cursorOf(t, g, 30)
	refused.Store(uint64(5), true)
	if _, err := set.Replay("a", time.Time{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both", func() bool { return set.Status()[0].Dead == 3 })
	closeSet(set, 10*time.Second)
	g.close()
	s.remove(s.path("a", DeadFile))
	g, set = start()
	g.seq.Store(30)
	eventually(t, "both again", func() bool { return set.Status()[0].Dead == 5 })
	closeSet(set, 10*time.Second)
	g.close()
	if got := letters(t, s.read(s.path("a", DeadFile))); len(got) != 2 || got[0].Seq != 5 || got[1].Seq != 9 {
		t.Errorf("%+v", got)
	}
}

// An operator's command outlives a copy of what was remembered before it.
func TestAnOldCopyUndoesNoCommand(t *testing.T) {
	receipt := func(g *testLog, what, body string) { // as the gateway keeps it, before it does it
		text := fmt.Sprintf(`"time":%q,"exchange":"admin-1","action":"allow","detail":%q,"events":[{"kind":"sink_%s","guard":"sinks"}]`, time.Now().UTC().Format(time.RFC3339Nano), "admin: "+what+" "+body, what)
		if err := g.l.Spool().Put([]byte(text)); err != nil {
			t.Fatal(err)
		}
		g.seq.Add(1)
	}
	original := staged(t)
	for _, c := range []struct {
		name  string
		do    func(g *testLog, s *Set) // after which the copy is put back that was made before
		first uint64
		says  string
	}{
		{"of a pause that was ended", func(g *testLog, s *Set) {
			receipt(g, "resume", `{"sink":"a"}`)
			if err := s.Resume("a"); err != nil {
				t.Fatal(err)
			}
		}, 31, "it was resumed"},
		{"of before a replay", func(g *testLog, s *Set) {
			receipt(g, "replay", `{"sink":"a","from":"`+g.at.Add(6*time.Second).Format(time.RFC3339)+`"}`)
			if _, err := s.Replay("a", g.at.Add(6*time.Second)); err != nil {
				t.Fatal(err)
			}
			if err := s.Resume("a"); err != nil {
				t.Fatal(err)
			}
			receipt(g, "resume", `{"sink":"a"}`)
		}, 6, "it was to be replayed"},
		{"of a pause that lasts", func(g *testLog, _ *Set) { receipt(g, "resume", `{"sink":"b"}`) }, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := original.copy(t)
			g := openLogOf(t, s.dir, 1<<20)
			g.seq.Store(30)
			set := openSet(t, g, new(sinkDouble).spec("a"), new(sinkDouble).spec("b"))
			if err := set.Pause("a"); err != nil {
				t.Fatal(err)
			}
			copied := s.read(s.path("a", CursorFile))
			time.Sleep(time.Millisecond)
			c.do(g, set)
			closeSet(set, 10*time.Second)
			g.close()
			s.write(s.path("a", CursorFile), copied)
			g = openLogOf(t, s.dir, 1<<20)
			g.seq.Store(31)
			d := new(sinkDouble)
			said := make(chan string, 9)
			o := g.options()
			o.Tell = func(_, why string) { said <- why }
			set = New(o)
			if err := set.Apply([]Spec{d.spec("a")}); err != nil {
				t.Fatal(err)
			}
			if c.first == 0 {
				time.Sleep(50 * time.Millisecond)
			} else {
				eventually(t, "it goes on", func() bool { return len(d.have()) > 0 })
			}
			closeSet(set, 10*time.Second)
			g.close()
			close(said)
			var all []string
			for why := range said {
				all = append(all, why)
			}
			have := d.have()
			if c.first == 0 && len(have) > 0 || c.first > 0 && have[0] != c.first || (c.says == "") != (len(all) == 0) || !strings.Contains(strings.Join(all, "\n"), c.says) {
				t.Errorf("came %v, said %q", have, all)
			}
		})
	}
}
