package app

import (
	"testing"

	"github.com/sallyport/sallyport/internal/gate"
)

func testBuild(version string) *build { return &build{snapshot: &gate.Snapshot{}, version: version} }

func TestWhoJudgesFollowsWhatEnvoyHas(t *testing.T) {
	a, b, c := testBuild("a"), testBuild("b"), testBuild("c")
	same := testBuild("a") // other guards, the same for Envoy
	for _, tt := range []struct {
		name    string
		do      func(*judges)
		judge   *build
		refused string
	}{
		{"the newest judges", func(j *judges) { j.swap(a); j.swap(b) }, b, ""},
		{"what Envoy rejects is taken back", func(j *judges) { j.swap(a); j.swap(b); j.revert("b", "a") }, a, "b"},
		{"back means the newest that Envoy has accepted", func(j *judges) { j.swap(a); j.swap(same); j.swap(b); j.revert("b", "a") }, same, "b"},
		{"a late rejection leaves what came after it alone", func(j *judges) { j.swap(a); j.swap(b); j.swap(c); j.revert("b", "a") }, c, ""},
		{"which may be rejected too", func(j *judges) { j.swap(a); j.swap(b); j.swap(c); j.revert("b", "a"); j.revert("c", "a") }, a, "c"},
		{"what cannot be offered never judged", func(j *judges) { j.swap(a); j.swap(b)() }, a, ""},
		{"and does not hide an older rejection", func(j *judges) { j.swap(a); j.swap(b); j.revert("b", "a"); j.swap(c)() }, a, "b"},
		{"a rejection meanwhile is not undone", func(j *judges) { j.swap(a); j.swap(b); undo := j.swap(c); j.revert("b", "a"); undo() }, a, "b"},
		{"the good one offered again ends the refusal", func(j *judges) { j.swap(a); j.swap(b); j.revert("b", "a"); j.swap(a) }, a, ""},
		{"the first has nothing to go back to", func(j *judges) { j.swap(a)() }, a, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j := &judges{holder: gate.NewHolder(nil)}
			tt.do(j)
			if j.current != tt.judge || j.holder.Current() != tt.judge.snapshot {
				t.Errorf("%q judges, want %q", j.current.version, tt.judge.version)
			}
			if got := j.refused(); got != tt.refused {
				t.Errorf("refused %q, want %q", got, tt.refused)
			}
		})
	}
}

func TestANewPolicyNeverBringsBackAnOldConfiguration(t *testing.T) {
	a, b := testBuild("a"), testBuild("b")
	j := &judges{holder: gate.NewHolder(nil)}
	j.swap(a)
	was, _ := j.inForce()
	j.swap(b) // while the policy was made ready
	j.renew(was, &gate.Snapshot{})
	if j.holder.Current() != b.snapshot {
		t.Error("the old configuration judges")
	}
	next := &gate.Snapshot{}
	j.renew(b, next)
	if now, s := j.inForce(); j.holder.Current() != next || now != b || s != next {
		t.Error("the new policy does not judge")
	}
}
