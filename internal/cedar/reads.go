package cedar

import (
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// reads says what a policy reads of the context.
type reads struct {
	whole, volatile, arguments bool
	members                    []string // that belong to one call alone
}

func readsOf(p *ast.Policy) reads {
	var r reads
	for _, c := range p.Conditions {
		ast.Inspect(ast.NewNode(c.Body), func(n ast.IsNode) bool {
			var arg ast.IsNode
			var name types.String
			switch n := n.(type) {
			case ast.NodeTypeAccess:
				arg, name = n.Arg, n.Value
			case ast.NodeTypeHas:
				arg, name = n.Arg, n.Value
			case ast.NodeTypeVariable:
				r.whole = r.whole || n.Name == "context"
				return true
			default:
				return true
			}
			if v, ok := arg.(ast.NodeTypeVariable); !ok || v.Name != "context" {
				return true
			}
			switch name {
			case "version", "method", "direction", "kind", "revision", "flow":
			case "arguments", "params":
				r.arguments, r.volatile = true, true
				r.members = append(r.members, string(name))
			default:
				r.volatile = true
				r.members = append(r.members, string(name))
			}
			return false
		})
	}
	return r
}
