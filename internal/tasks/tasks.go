// Package tasks remembers which call made a task, so that the task's result can
// be judged as that call's.
package tasks

import (
	"crypto/sha256"
	"strings"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/recent"
)

// Origins are the tools that made tasks, of the most recent tasks of this
// process. They are for any number of goroutines.
type Origins struct{ table *recent.Table[string] }

// New returns room for a number of tasks.
func New(most int) *Origins { return &Origins{recent.New[string](most)} }

// maxName bounds what one task keeps.
const maxName = 512

// Remember notes that a call of a tool made a task for the caller of x. What
// another call made under the same id before is forgotten.
func (o *Origins) Remember(x *guard.Exchange, task, tool string) {
	if task == "" || tool == "" || len(tool) > maxName {
		return
	}
	tool = strings.Clone(tool)
	o.table.Do(key(x, task), func(v *string) { *v = tool })
}

// Tool returns the tool whose call made a task for the caller of x.
func (o *Origins) Tool(x *guard.Exchange, task string) (tool string, ok bool) {
	o.table.Look(key(x, task), func(v *string) { tool, ok = *v, true })
	return tool, ok
}

func key(x *guard.Exchange, task string) recent.Key {
	b := guard.AppendText(make([]byte, 0, 256), x.Server.Name)
	b = guard.AppendText(b, task)
	sum := sha256.Sum256(x.AppendCaller(b))
	return recent.Key(sum[:16])
}
