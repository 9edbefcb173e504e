// Package schema holds arguments and results of tools against the schemas in
// their pinned definitions.
package schema

import (
	"encoding/json"
	"errors"
	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/mcp"
)

// Config is the user's "guards.schema" section.
type Config struct {
	Arguments string `yaml:"arguments" oneof:"enforce|alert|off" doc:"What happens to calls whose arguments do not fit the pinned inputSchema: they are refused, or people are told"`
	Results   string `yaml:"results" oneof:"enforce|alert|off" doc:"What happens to results whose structuredContent does not fit the pinned outputSchema: they are withheld, or people are told"`
	Unknown   string `yaml:"unknown_properties" oneof:"allow|strip|refuse" doc:"What happens to arguments that no schema names, in objects whose schema names some and says nothing of additional ones; always refuse for tools that the registry calls sensitive"`
	Sensitive string `yaml:"sensitive_unknown" oneof:"allow|refuse" doc:"What happens to calls of tools that the registry calls sensitive while no usable inputSchema of them is pinned"`
}

// Schema is a compiled one. It is used from many goroutines, and its cost is
// bounded whatever the value.
type Schema interface {
	// Check holds value against the schema. With unknown it also looks for
	// properties that no schema names.
	Check(value json.RawMessage, unknown bool) Report
}

// Report says whether a value fits. Nothing in it comes from the value: a path
// names what the schema names, and has * for everything else.
type Report struct {
	Keyword string // that fails; empty when the value fits
	Path    string // JSON pointer to where it does; empty for the whole
	Name    string // of the property that the schema requires, and is not there
	Unknown []Property
}

// Property is one that no schema names.
type Property struct {
	Pointer string // to it, in the value
	Path    string // to its object, as in a [Report]
}

// TooCostly is the keyword of a value that could not be judged within bounds.
const TooCostly = "cost"

// Tool is what is pinned of a tool. A nil Schema stands for none.
type Tool struct {
	Input, Output Schema
	InputTrouble  string // why there is no usable input schema though one is pinned; for operators
	OutputTrouble string
}

// Schemas knows what is pinned. It is asked on every call, from many
// goroutines, and waits for nothing.
type Schemas interface {
	Tool(server, name string) (Tool, bool)
}

// Tasks knows which tool's call made a task. It is asked from many goroutines,
// and waits for nothing.
type Tasks interface {
	Remember(x *guard.Exchange, task, tool string)
	Tool(x *guard.Exchange, task string) (string, bool)
}

// Ports are what the guard needs from outside. Without Schemas it is left out;
// without Tasks the results of tasks are not judged.
type Ports struct {
	Schemas Schemas
	Tasks   Tasks
}

// Reasons of this guard.
const (
	ArgumentsInvalid guard.Reason = "arguments_invalid"
	ResultInvalid    guard.Reason = "result_invalid"
	SchemaUnknown    guard.Reason = "schema_unknown"
)

// Default enforces what is pinned.
func Default() Config {
	return Config{Arguments: "enforce", Results: "enforce", Unknown: "allow", Sensitive: "allow"}
}

// Spec presents the guard to the chain.
func Spec(p Ports) guard.Spec {
	return guard.Define("schema", "Holds arguments and results of tools against the schemas in their pinned definitions.", Default(),
		func(c Config) (guard.Guard, error) {
			if err := c.validate(); err != nil || p.Schemas == nil || c.Arguments == "off" && c.Results == "off" && c.Sensitive == "allow" {
				return nil, err
			}
			return &checker{c, p.Schemas, p.Tasks}, nil
		}, append([]guard.Want{toServer, toClient}, aboutTasks...)...,
	).Scanning().WithReasons(
		guard.ReasonInfo{Reason: ArgumentsInvalid, Status: 200, Code: mcp.CodeInvalidParams, Text: "The arguments do not fit the tool's input schema.",
			When: "The arguments do not fit the pinned `inputSchema`, or are too costly to judge. Sent as a tool result with `isError`, which names the path and the keyword."},
		guard.ReasonInfo{Reason: ResultInvalid, Status: 200, Code: guard.CodeResponseContent, Text: "The tool's result does not fit its output schema and was withheld.",
			When: "`structuredContent` is absent, does not fit the pinned `outputSchema`, or is too costly to judge. Sent as a tool result with `isError`."},
		guard.ReasonInfo{Reason: SchemaUnknown, Status: 200, Code: guard.CodeDenied, Text: "This tool cannot be called before its input schema is known. List the tools first, or ask an operator.",
			When: "The registry calls the tool sensitive, no usable `inputSchema` of it is pinned, and `guards.schema.sensitive_unknown` is `refuse`."},
	)
}

var (
	toServer = guard.Want{Method: "tools/call", Direction: mcp.ToServer}
	toClient = guard.Want{Method: "tools/call", Direction: mcp.ToClient}

	aboutTasks = []guard.Want{
		{Method: "tasks/result", Direction: mcp.ToServer}, {Method: "tasks/get", Direction: mcp.ToServer},
		{Method: "tasks/result", Direction: mcp.ToClient}, {Method: "tasks/get", Direction: mcp.ToClient},
		{Method: "notifications/tasks", Direction: mcp.ToClient},
	}
)

func (c *Config) validate() error {
	return errors.Join(
		notation.OneOf("arguments", c.Arguments, "enforce", "alert", "off"),
		notation.OneOf("results", c.Results, "enforce", "alert", "off"),
		notation.OneOf("unknown_properties", c.Unknown, "allow", "strip", "refuse"),
		notation.OneOf("sensitive_unknown", c.Sensitive, "allow", "refuse"),
	)
}

type checker struct {
	Config
	schemas Schemas
	tasks   Tasks
}

// Wants leaves out the direction in which nothing is judged.
func (g *checker) Wants() (out []guard.Want) {
	if g.Arguments != "off" || g.Sensitive == "refuse" {
		out = append(out, toServer)
	}
	if g.Results != "off" {
		out = append(out, toClient)
		if g.tasks != nil {
			out = append(out, aboutTasks...)
		}
	}
	return out
}

// RequestsOnly tells a host that can edit nothing which setting needs that.
func (g *checker) RequestsOnly() error {
	if g.Arguments == "enforce" && g.Unknown == "strip" {
		return errors.New("unknown_properties strip needs to edit arguments")
	}
	return nil
}
