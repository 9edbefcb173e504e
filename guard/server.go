package guard

import (
	"strings"
)

// Server is what guards may know of a registered MCP server.
type Server struct {
	Name           string
	Owner          string
	Domain         string
	Classification string
	Clearance      string // most sensitive data that may go into what is not described on its own; may be empty
	Version        string // that serves the exchange; empty while only the route knows

	// Tools are those that the registry describes, by name; "*" describes the
	// others. It is shared between exchanges, so nobody changes it.
	Tools map[string]Tool

	// Prices are what the registry says that calls cost, likewise.
	Prices map[string]Price

	// Fields are the members of arguments and results of which the registry says
	// how sensitive they are, likewise.
	Fields map[string][]DataField
}

// DataField is a member of arguments or results that is as sensitive as
// Classification says, wherever it is there.
type DataField struct {
	Path           string // JSON pointer from the arguments or from the structured result; a step * is every member or element
	Classification string
	Arguments      bool // it is looked for in arguments
	Results        bool // and in results
}

// Tool is what the registry says of a tool. Nothing in it comes from the server
// itself, whose word about its own tools is a claim.
type Tool struct {
	Classification string // sensitivity of its data: the tool's own, else its server's; may be empty
	Clearance      string // most sensitive data that may go in: the tool's own, else its server's; may be empty
	Risk           string // low, medium, high or critical; empty when nobody judged it
	Sensitive      bool   // callers have to prove freshly who they are; what is checked is checked most strictly
	ReadOnly       bool   // it changes nothing
	Destructive    bool   // it may delete or overwrite
	Idempotent     bool   // calling it again with the same arguments changes nothing more
	External       bool   // it reaches what lies outside of the organisation
	Financial      bool   // it moves money
}

// Price is what calls of a tool cost, in millionths of a US dollar. The zero Price
// is none.
type Price struct {
	Call     int64  // of a call
	In, Out  int64  // of a MiB of the request and of the reply
	Tokens   string // where the result has their number, such as _meta.usage.totalTokens
	Million  int64  // of a million tokens
	Estimate int64  // what only the reply tells is expected to be; 0 for what it was of late
}

// Price returns what the registry says that calls of the tool called name cost.
func (s *Server) Price(name string) (p Price, known bool) {
	return fact(s.Prices, name)
}

// FieldsOf returns the fields of the tool called name, in any spelling that
// [Server.Tool] takes for it.
func (s *Server) FieldsOf(name string) []DataField {
	list, _ := fact(s.Fields, name)
	return list
}

// Tool returns what the registry says of the tool called name. Of a tool that
// it does not describe nothing is known, so that the worst must be assumed. A
// name that differs from a described one by case only is that tool: some servers
// take it for that, and a fact must not be escaped by spelling.
func (s *Server) Tool(name string) (t Tool, known bool) { return fact(s.Tools, name) }

func fact[F any](facts map[string]F, name string) (f F, known bool) {
	if len(facts) == 0 {
		return f, false
	}
	if f, known = facts[name]; known {
		return f, true
	}
	least := ""
	for have := range facts {
		if strings.EqualFold(have, name) && (least == "" || have < least) { // of several always the same
			least = have
		}
	}
	if least == "" {
		least = "*"
	}
	f, known = facts[least]
	return f, known
}
