// Command places lists where a server's text can stand in messages to the client, or
// a client's in messages to the server, by the protocol's own schemas:
//
//	go run ./eval/places DIR > guard/standard/testdata/places.txt
//	go run ./eval/places -client DIR > guard/standard/testdata/client-places.txt
//
// DIR holds schema.json of each revision, named by it: 2025-11-25.json. A line is
// a place: revisions, kind of message, method, and JSON pointer, in which * stands
// for a name that the sender chooses.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
)

func main() {
	args := os.Args[1:]
	client := len(args) == 2 && args[0] == "-client"
	if client {
		args = args[1:]
	}
	if len(args) != 1 {
		fmt.Fprintln(os.Stderr, "usage: places [-client] DIR")
		os.Exit(2)
	}
	if err := run(os.DirFS(args[0]), client, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// revisions by the letters that the list has for them.
var revisions = map[string]string{"A": "2025-03-26", "B": "2025-06-18", "C": "2025-11-25", "D": "2026-07-28"}

// tasks is what the schema of the newest revision leaves to the extension for
// tasks, and that of the one before does not say of its calls.
var tasks = map[string][]string{
	"C": {"result tools/call /result/task/taskId", "result tools/call /result/task/status", "result tools/call /result/task/statusMessage"},
	"D": {
		"result tools/call /result/taskId", "result tools/call /result/status", "result tools/call /result/statusMessage",
		"result tasks/get /result/taskId", "result tasks/get /result/status", "result tasks/get /result/statusMessage",
		"result tasks/get /result/result/content/0/text", "result tasks/get /result/result/structuredContent/*", "result tasks/get /result/result/_meta/*",
		"result tasks/get /result/error/message", "result tasks/get /result/error/data",
		"result tasks/get /result/inputRequests/*/method", "result tasks/get /result/inputRequests/*/params/message",
		"result tasks/get /result/inputRequests/*/params/systemPrompt", "result tasks/get /result/inputRequests/*/params/messages/0/content/text",
		"result tasks/update /result/*", "result tasks/cancel /result/*",
		"error tasks/get /error/message", "error tasks/get /error/data", "error tasks/update /error/message", "error tasks/update /error/data",
		"error tasks/cancel /error/message", "error tasks/cancel /error/data",
		"notification notifications/tasks /params/taskId", "notification notifications/tasks /params/status", "notification notifications/tasks /params/statusMessage",
		"notification notifications/tasks /params/result/content/0/text", "notification notifications/tasks /params/result/structuredContent/*",
		"notification notifications/tasks /params/error/message", "notification notifications/tasks /params/error/data",
		"notification notifications/tasks /params/inputRequests/*/params/message",
		"notification notifications/tasks /params/inputRequests/*/params/messages/0/content/text", "notification notifications/tasks /params/_meta/*",
	},
}

// clientTasks is the same of what clients send.
var clientTasks = map[string][]string{"D": {
	"request tasks/get /params/taskId", "request tasks/get /params/*", "request tasks/get /params/_meta/*", "request tasks/get /id",
	"request tasks/cancel /params/taskId", "request tasks/cancel /params/*", "request tasks/cancel /params/_meta/*", "request tasks/cancel /id",
	"request tasks/update /params/taskId", "request tasks/update /params/*", "request tasks/update /params/_meta/*", "request tasks/update /id",
	"request tasks/update /params/inputResponses/*/action", "request tasks/update /params/inputResponses/*/content/*",
	"request tasks/update /params/inputResponses/*/content/text", "request tasks/update /params/inputResponses/*/roots/0/uri",
	"request subscriptions/listen /params/notifications/taskIds/0",
}}

func run(dir fs.FS, client bool, stdout io.Writer) error {
	found := make(map[string]string) // revisions of a place
	for _, letter := range slices.Sorted(maps.Keys(revisions)) {
		b, err := fs.ReadFile(dir, revisions[letter]+".json")
		if err != nil {
			return err
		}
		var file struct {
			Definitions map[string]node `json:"definitions"`
			Defs        map[string]node `json:"$defs"`
		}
		if err := json.Unmarshal(b, &file); err != nil {
			return err
		}
		w := walker{defs: file.Definitions}
		if w.defs == nil {
			w.defs = file.Defs
		}
		places := append(w.server(), tasks[letter]...)
		if client {
			w.places = nil
			places = append(w.client(), clientTasks[letter]...)
		}
		for _, place := range places {
			if !strings.HasSuffix(found[place], letter) {
				found[place] += letter
			}
		}
	}
	for _, place := range slices.Sorted(maps.Keys(found)) {
		fmt.Fprintln(stdout, found[place], place)
	}
	return nil
}

// node is a schema.
type node map[string]any

// walker walks the definitions of one revision.
type walker struct {
	defs   map[string]node
	within []string // the definitions that are being walked
	places []string
}

// client returns the places of a client's text: in what it asks and reports, and in
// what it answers.
func (w *walker) client() []string {
	for kind, union := range map[string]string{"request": "ClientRequest", "notification": "ClientNotification"} {
		for _, name := range w.names(union) {
			at := kind + " " + w.method(name)
			if params, ok := w.property(name, "params"); ok {
				w.walk(params, at+" /params")
			}
			w.places = append(w.places, at+" /params/*", at+" /params/_meta/*", at+" /*")
			if kind == "request" {
				w.places = append(w.places, at+" /id", at+" /params/_meta/progressToken")
			}
		}
	}
	for _, name := range w.names("ServerRequest") {
		method := w.method(name)
		at := "result " + method + " /result"
		w.places = append(w.places, at+"/*", at+"/_meta/*", "result "+method+" /*", "result "+method+" /id", "error "+method+" /error/message", "error "+method+" /error/data")
		if answer := strings.TrimSuffix(name, "Request") + "Result"; w.defs[answer] != nil {
			w.walk(node{"$ref": "#/" + answer}, at)
		}
	}
	return w.places
}

// server returns the places of a server's text.
func (w *walker) server() []string {
	for _, name := range w.names("ClientRequest") {
		method := w.method(name)
		base := strings.TrimSuffix(name, "Request")
		result := map[string]string{"Complete": "CompleteResult", "SetLevel": "", "Ping": "", "Subscribe": "", "Unsubscribe": ""}
		answer, special := result[base]
		if !special {
			answer = base + "Result"
		}
		at := "result " + method + " /result"
		w.places = append(w.places, at+"/*", at+"/_meta/*", "error "+method+" /error/message", "error "+method+" /error/data")
		if answer != "" {
			w.walk(node{"$ref": "#/" + answer}, at)
		}
		if w.asks(method) {
			w.walk(node{"$ref": "#/InputRequiredResult"}, at)
		}
	}
	for kind, union := range map[string]string{"request": "ServerRequest", "notification": "ServerNotification"} {
		for _, name := range w.names(union) {
			if params, ok := w.property(name, "params"); ok {
				w.walk(params, kind+" "+w.method(name)+" /params")
			}
			w.places = append(w.places, kind+" "+w.method(name)+" /params/*", kind+" "+w.method(name)+" /params/_meta/*")
		}
	}
	return w.places
}

// asks reports whether a result of the method may ask the client for more.
func (w *walker) asks(method string) bool {
	return w.defs["InputRequiredResult"] != nil && slices.Contains([]string{"tools/call", "prompts/get", "resources/read"}, method)
}

func (w *walker) names(union string) (out []string) {
	list, _ := w.defs[union]["anyOf"].([]any)
	for _, a := range list {
		out = append(out, last(node(a.(map[string]any))))
	}
	return out
}

func last(n node) string {
	ref, _ := n["$ref"].(string)
	return ref[strings.LastIndex(ref, "/")+1:]
}

func (w *walker) property(name, key string) (node, bool) {
	properties, _ := w.defs[name]["properties"].(map[string]any)
	p, ok := properties[key].(map[string]any)
	return p, ok
}

func (w *walker) method(name string) string {
	m, _ := w.property(name, "method")
	s, _ := m["const"].(string)
	return s
}

// walk adds the places of texts in what n describes, which stands at the pointer.
func (w *walker) walk(n node, at string) {
	if name := last(n); name != "" {
		if slices.Contains(w.within, name) || w.defs[name] == nil {
			return // what holds itself has no other places further down
		}
		w.within = append(w.within, name)
		w.walk(w.defs[name], at)
		w.within = w.within[:len(w.within)-1]
		return
	}
	for _, key := range []string{"anyOf", "allOf", "oneOf"} {
		list, _ := n[key].([]any)
		for _, a := range list {
			w.walk(a.(map[string]any), at)
		}
	}
	properties, _ := n["properties"].(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(properties)) {
		w.walk(properties[key].(map[string]any), at+"/"+strings.ReplaceAll(key, "/", "~1"))
	}
	if items, ok := n["items"].(map[string]any); ok {
		w.walk(items, at+"/0")
	}
	switch more := n["additionalProperties"].(type) {
	case bool:
		if more {
			w.places = append(w.places, at+"/*")
		}
	case map[string]any:
		w.walk(more, at+"/*")
	}
	kinds, _ := n["type"].([]any)
	switch {
	case n["type"] == "string" || slices.Contains(kinds, any("string")) || n["type"] == nil && n["const"] != nil:
		w.places = append(w.places, at)
	case n["type"] == "object" && properties == nil && n["additionalProperties"] == nil:
		w.places = append(w.places, at+"/*")
	case n["type"] == nil && n["anyOf"] == nil && n["allOf"] == nil && n["oneOf"] == nil:
		w.places = append(w.places, at) // any value
	}
}
