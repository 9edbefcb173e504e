package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"os"
	"time"

	"github.com/sallyport/sallyport/internal/redis"
	"github.com/sallyport/sallyport/internal/release"
)

// replicaID names this process among the replicas.
func replicaID() string {
	host, err := os.Hostname()
	if err != nil {
		host = "replica"
	}
	var b [4]byte
	_, _ = rand.Read(b[:]) // it never fails
	return host + "-" + hex.EncodeToString(b[:])
}

// Replica is what a replica tells of its policy.
type Replica struct {
	ID        string           `json:"id"`
	Self      bool             `json:"self,omitempty"`
	Policy    string           `json:"policy,omitempty"` // revision that judges
	Since     *time.Time       `json:"since,omitempty"`
	Candidate string           `json:"candidate,omitempty"`
	Stage     int              `json:"stage,omitempty"`
	Error     string           `json:"error,omitempty"`
	Command   *release.Command `json:"command,omitempty"` // that it followed last
}

// self is what this replica tells.
func (g *Gateway) self() Replica {
	r := Replica{ID: g.lasting.id}
	l := g.liveLine()
	if l == nil {
		return r
	}
	s := l.keeper.Status()
	r.Policy, r.Since, r.Candidate, r.Stage, r.Error, r.Command = s.Live, &s.Since, s.Candidate, s.Stage, s.Error, s.Command
	return r
}

// meet tells other replicas how this one is doing, and follows the commands that
// were given to one of them, while there is a Redis to meet in.
func (g *Gateway) meet(ctx context.Context) error {
	if g.lasting.shared == nil {
		return nil
	}
	r := g.lasting.shared.Roster(g.lasting.id)
	g.roster.Store(r)
	r.Run(ctx, func() []byte {
		b, err := json.Marshal(g.self())
		if err != nil {
			return []byte("{}") // plain data, which always can
		}
		return b
	}, g.heard)
	return nil
}

// heard follows the newest command that any replica knows.
func (g *Gateway) heard(all []redis.Replica) {
	l := g.liveLine()
	if l == nil {
		return
	}
	for _, one := range all {
		var r Replica
		if one.Name == g.lasting.id || json.Unmarshal(one.Says, &r) != nil || r.Command == nil {
			continue
		}
		if did, err := l.keeper.Follow(*r.Command); err != nil {
			g.log.Error("policy: a command to another replica cannot be followed here", "command", r.Command.Do, "revision", r.Command.Revision, "replica", r.ID, "err", err)
		} else if did {
			g.log.Warn("policy: changed as another replica was told", "command", r.Command.Do, "revision", r.Command.Revision, "replica", r.ID)
			g.apply(l)
		}
	}
}

// replicas returns all that are known, this one first.
func (g *Gateway) replicas() []Replica {
	self := g.self()
	self.Self = true
	out := []Replica{self}
	r := g.roster.Load()
	if r == nil {
		return out
	}
	all, err := r.All()
	if err != nil {
		out[0].Error = joined(out[0].Error, err.Error())
	}
	for _, one := range all {
		var other Replica
		if one.Name != g.lasting.id && json.Unmarshal(one.Says, &other) == nil {
			out = append(out, other)
		}
	}
	return out
}

func joined(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}
