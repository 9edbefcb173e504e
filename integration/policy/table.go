// Package policy runs the decision table: in process and through a real Envoy,
// with the same answers.
package policy

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/mcp"
)

//go:embed testdata/decisions.txt
var table string

//go:embed testdata/data.json
var organisation []byte

// row is one question with its answer.
type row struct {
	principal string
	server    guard.Server
	method    string
	target    string
	arguments string
	want      guard.Reason // empty: allowed
}

func (r row) String() string {
	return strings.Join([]string{r.principal, r.server.Name, r.method, r.target, r.arguments}, " ")
}

var answers = map[string]guard.Reason{
	"y": "", "t": policy.ToolNotAllowed, "s": policy.ServerNotAllowed, "d": policy.PolicyDenied, "a": policy.ArgumentNotAllowed,
	"p": policy.ApprovalRequired, "r": policy.ReauthenticationRequired, "c": policy.InsufficientScope,
}

// who are the principals of the table.
var who = map[string]guard.Principal{
	"nobody":   {},
	"support":  {Subject: "sue", Tenant: "acme", Roles: []string{"support"}, TaskType: "case"},
	"clerk":    {Subject: "cleo", Tenant: "acme", Roles: []string{"clerk"}, TaskType: "refund", Scopes: []string{"crm:read"}},
	"manager":  {Subject: "max", Tenant: "acme", Roles: []string{"manager"}, Scopes: []string{"crm.boss"}, Strength: "mfa"},
	"auditor":  {Subject: "ada", Tenant: "acme", Roles: []string{"auditor", "unheard-of"}},
	"stranger": {Subject: "eve", Tenant: "acme", Roles: []string{"root"}},
}

// rows reads the table.
func rows() ([]row, error) {
	var (
		out        []row
		principals []string
		server     guard.Server
	)
	s := bufio.NewScanner(strings.NewReader(table))
	for line := 1; s.Scan(); line++ {
		f := strings.Fields(s.Text())
		switch {
		case len(f) == 0 || principals == nil && f[0] != "principals:":
		case f[0] == "principals:":
			principals = f[1:]
		case f[0] == "server" && len(f) == 3:
			server = guard.Server{Name: f[1], Classification: f[2], Owner: "team-" + f[1]}
		case len(f) == 3+len(principals):
			for i, p := range principals {
				want, ok := answers[f[3+i]]
				if _, known := who[p]; !ok || !known {
					return nil, fmt.Errorf("line %d: principal %q or answer %q is not known", line, p, f[3+i])
				}
				if want == policy.ToolNotAllowed && strings.HasPrefix(f[0], "tasks/") {
					return nil, fmt.Errorf("line %d: tasks are on no list", line)
				}
				out = append(out, row{p, server, f[0], dash(f[1]), dash(f[2]), want})
			}
		default:
			return nil, fmt.Errorf("line %d: %d fields", line, len(f))
		}
	}
	return out, s.Err()
}

func dash(s string) string {
	if s == "-" {
		return ""
	}
	return s
}

// message is the JSON-RPC message of a row.
func (r row) message() []byte {
	params := map[string]any{}
	switch r.method {
	case "tools/call", "prompts/get":
		params["name"] = r.target
		if r.arguments != "" {
			params["arguments"] = json.RawMessage(r.arguments)
		}
	case "resources/read", "resources/subscribe":
		params["uri"] = r.target
	case "completion/complete":
		params["ref"] = map[string]string{"type": "ref/prompt", "name": r.target}
		params["argument"] = map[string]string{"name": "a", "value": "b"}
	case "tasks/get":
		params["taskId"] = r.target
	}
	b, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 7, "method": r.method, "params": params})
	if err != nil {
		return nil
	}
	return b
}

// exchange is the one in which a row's principal asks.
func (r row) exchange(m *mcp.Message) *guard.Exchange {
	return &guard.Exchange{
		ID: "x", Server: r.server, Principal: who[r.principal], Revision: mcp.R20251125,
		Asked: guard.Asked{Kind: m.Kind, ID: m.ID, Method: m.Method, Name: m.Name},
	}
}
