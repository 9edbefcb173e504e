// Package length is the guard of docs/writing-a-guard.md: it bounds the length
// of tool names. It is compiled and tested, and not part of any gateway.
package length

import (
	"context"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// Config is the user's "guards.length" section.
type Config struct {
	Most int `yaml:"most" min:"1" doc:"Longest name of a tool, in bytes"`
}

// NameTooLong is this guard's reason.
const NameTooLong guard.Reason = "name_too_long"

// Spec presents the guard to the chain.
func Spec() guard.Spec {
	return guard.Define("length", "Bounds the length of tool names.", Config{Most: 64}, func(c Config) (guard.Guard, error) {
		if c.Most < 1 {
			return nil, errors.New("most: must be positive")
		}
		return length{c.Most}, nil
	}, guard.Want{Method: "tools/call", Direction: mcp.ToServer}).WithReasons(guard.ReasonInfo{
		Reason: NameTooLong, Status: 200, Code: guard.CodeDenied,
		Text: "The name of this tool is too long.", When: "The name is longer than `guards.length.most`.",
	})
}

type length struct{ most int }

func (l length) Inspect(_ context.Context, _ *guard.Exchange, m *mcp.Message) (guard.Verdict, error) {
	if n := len(m.Name); n > l.most {
		return guard.Refuse(NameTooLong, fmt.Sprintf("%d bytes", n)), nil
	}
	return guard.Pass(), nil
}
