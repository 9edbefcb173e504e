package release

import (
	"testing"
	"time"
)

func TestAStateThatSomebodyWroteByHandNeitherStopsTheKeeperNorSilencesReplicas(t *testing.T) {
	c := &clock{now: time.Unix(1000, 0)}
	stages := []Stage{{Percent: 10}}
	k := keeper(t, c, stages...)
	for _, revision := range []string{"1.0.0+a", "1.1.0+b"} {
		if err := offer(t, k, revision); err != nil {
			t.Fatal(err)
		}
	}
	is(t, k, "1.0.0+a", "1.1.0+b")
	state, archives := k.State()
	state.Stage = -1
	state.Command = &Command{Do: DoPromote, Revision: "1.1.0+b", At: c.now.Add(time.Hour)}
	k, err := NewKeeper(settings(c, stages...), state, func(sum string) ([]byte, error) { return archives[sum], nil })
	if err != nil {
		t.Fatal(err)
	}
	if p := k.Plan(); p.Live == nil || p.Candidate != nil {
		t.Errorf("%+v", p)
	}
	if did, err := k.Follow(Command{Do: DoRollback, Revision: "1.0.0+a", From: "1.1.0+b", At: c.now}); !did || err != nil {
		t.Errorf("another replica's command is not followed: %v %v", did, err)
	}
}
