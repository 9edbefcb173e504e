// Package binding ties sessions, event ids and task ids to the caller that they
// were made for, so that a stolen one is worth nothing. This guard sees to task
// ids, which stand in messages; the host sees to the others, in headers and
// events, with the same [Sealer].
package binding

import (
	"context"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/mcp"
)

// Config is the user's "guards.binding" section.
type Config struct {
	Keys      []notation.SecretRef `yaml:"keys" doc:"References to secrets of at least 32 characters, the same for all replicas: the first seals, all open. Without any, nothing is bound"`
	ListTasks bool                 `yaml:"list_tasks" doc:"Let tasks/list pass, which makes every task usable that the server lists: for servers that list to each session its own tasks only"`
}

// Reasons of this guard.
const (
	UnknownTask    guard.Reason = "unknown_task"
	TasksNotListed guard.Reason = "tasks_not_listed"
)

// Kind is what an id names. An id of one kind is none of another.
type Kind byte

// The kinds.
const (
	Session Kind = iota + 1
	Event
	Task
)

// Sealer makes ids that only the caller of an exchange can use, at its server.
// It is called concurrently, and answers at once.
type Sealer interface {
	// Seal returns what the caller gets in the place of the upstream's id, the
	// same for the same id. ok is false for an id that is empty or too long.
	Seal(kind Kind, x *guard.Exchange, id string) (text string, ok bool)
	// Open returns the upstream's id. ok is false for whatever was not sealed
	// for this caller, kind and server.
	Open(kind Kind, x *guard.Exchange, text string) (id string, ok bool)
}

// Source makes the Sealer of a configuration; it is not called without keys. A
// nil Source leaves the guard out.
type Source func(Config) (Sealer, error)

// Spec presents the guard to the chain.
func Spec(source Source) guard.Spec {
	s := guard.Define("binding", "Ties sessions, event ids and task ids to the caller that they were made for.", Config{}, func(c Config) (guard.Guard, error) {
		if len(c.Keys) == 0 && c.ListTasks {
			return nil, errors.New("list_tasks: has no effect without keys")
		}
		if len(c.Keys) == 0 || source == nil {
			return nil, nil
		}
		sealer, err := source(c)
		if err != nil {
			return nil, fmt.Errorf("keys: %w", err)
		}
		return &binding{sealer, c.ListTasks}, nil
	},
		guard.Want{Method: "*", Direction: mcp.ToServer},
		guard.Want{Method: "*", Direction: mcp.ToClient},
	).WithReasons(
		guard.ReasonInfo{Reason: UnknownTask, Status: 200, Code: mcp.CodeInvalidParams, Text: "There is no such task.",
			When: "A task id that was not made for this caller at this server, or whose key is gone from `guards.binding.keys`: stolen, made up or outlived, which look alike."},
		guard.ReasonInfo{Reason: TasksNotListed, Status: 200, Code: mcp.CodeMethodNotFound, Text: "Tasks are not listed here. Keep the ids of your own.",
			When: "`tasks/list`, while task ids are bound to callers and `guards.binding.list_tasks` does not vouch for the server's own lists."},
	)
	s.Required = true
	return s
}

type binding struct {
	sealer    Sealer
	listTasks bool
}

// named is the task that the client's message names, in its words and in the
// server's: replies about it keep the client's, also when keys have changed.
var named = guard.NewSlot[[2]string]()

// Inspect translates the task ids of a message.
func (g *binding) Inspect(_ context.Context, x *guard.Exchange, m *mcp.Message) (guard.Verdict, error) {
	t := translation{g: g, x: x}
	if m.Direction == mcp.ToServer {
		if m.Method == "tasks/list" && !g.listTasks {
			return guard.Refuse(TasksNotListed, "tasks/list while task ids are bound"), nil
		}
		t.toServer(m)
	} else {
		t.toClient(m, x.Topic(m))
	}
	switch {
	case t.unusable != "":
		return guard.Refuse(guard.UpstreamBadReply, t.unusable), nil
	case t.unknown != "":
		return guard.Refuse(UnknownTask, t.unknown), nil
	}
	v := guard.Pass()
	v.Edits = t.edits
	return v, nil
}
