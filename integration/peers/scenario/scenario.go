// Package scenario is what every peer client is told to do, and what it reports.
// The Node and Python drivers take a Plan as JSON and print one Step a line; the
// Go drivers take and return the same as values.
package scenario

import (
	"fmt"
	"strings"
)

// Era says which generation of the protocol a client is to speak.
type Era string

// The eras. Auto leaves the choice to the client and the server.
const (
	Auto   Era = "auto"
	Legacy Era = "legacy" // initialize handshake, up to 2025-11-25
	Modern Era = "modern" // 2026-07-28 and nothing else
)

// Eras returns all eras.
func Eras() []Era { return []Era{Auto, Legacy, Modern} }

// ModernRevision is the revision that Modern pins.
const ModernRevision = "2026-07-28"

// Call is a tool call and what its outcome must hold.
type Call struct {
	Name      string         `json:"name"`
	Arguments map[string]any `json:"arguments"`
	Want      string         `json:"want,omitempty"`   // must occur in the text of the result
	Answer    map[string]any `json:"answer,omitempty"` // elicitation only: what the user fills in
}

// Prompt is a prompt to get.
type Prompt struct {
	Name      string            `json:"name"`
	Arguments map[string]string `json:"arguments"`
}

// Plan is one conversation. A nil or empty field leaves its step out. Steps come
// in the order of the fields; the client connects first and closes last.
type Plan struct {
	Era       Era     `json:"era"`
	Token     string  `json:"token,omitempty"` // a bearer token that is sent with each request
	ListTools bool    `json:"list_tools,omitempty"`
	Call      *Call   `json:"call,omitempty"`     // steps call and, after each failure on purpose, call_again
	Unknown   string  `json:"unknown,omitempty"`  // a tool that nobody has: the step is ok when the error can be read
	Refused   *Call   `json:"refused,omitempty"`  // a call that something on the way refuses: likewise
	Progress  *Call   `json:"progress,omitempty"` // ok when at least one notification came
	Elicit    *Call   `json:"elicit,omitempty"`   // ok when the user was asked
	Sample    *Call   `json:"sample,omitempty"`   // ok when the model was asked
	Slow      *Call   `json:"slow,omitempty"`     // cancelled after its first progress
	Resource  string  `json:"resource,omitempty"` // steps list_resources and read_resource
	Prompt    *Prompt `json:"prompt,omitempty"`   // steps list_prompts and get_prompt
	Ping      bool    `json:"ping,omitempty"`     // left out where the modern era is spoken, which has none
}

// ModelText is what a peer's model says, whatever it is asked.
const ModelText = "said by the peer's model"

// Fault is an error as a client hands it to its caller. Code is 0 when the
// client lost it or the error never had one.
type Fault struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// Step is the report of one step.
type Step struct {
	Name   string `json:"step"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
	Error  *Fault `json:"error,omitempty"`
}

func (s Step) String() string {
	out := s.Name + " ok"
	if !s.OK {
		out = s.Name + " FAILED"
	}
	if s.Detail != "" {
		out += ": " + s.Detail
	}
	if s.Error != nil {
		out += fmt.Sprintf(" [%d %s]", s.Error.Code, s.Error.Message)
	}
	return out
}

// Steps is a whole report.
type Steps []Step

// Get returns the step of that name, or a failed one when there is none.
func (s Steps) Get(name string) Step {
	for _, step := range s {
		if step.Name == name {
			return step
		}
	}
	return Step{Name: name, Detail: "this step was not taken"}
}

// Failed returns the steps that are not ok.
func (s Steps) Failed() Steps {
	var failed Steps
	for _, step := range s {
		if !step.OK {
			failed = append(failed, step)
		}
	}
	return failed
}

func (s Steps) String() string {
	lines := make([]string, len(s))
	for i, step := range s {
		lines[i] = step.String()
	}
	return strings.Join(lines, "\n")
}
