// Command ocsfsubset reads a compiled export of the OCSF schema and writes the part of it that
// package siem's events are held to: three classes, the objects that they use, and
// the data types, with requirements, types, enumerations and constraints as they are
// there, and without descriptions.
//
//	go run ./internal/audit/siem/ocsfsubset < 1.4.0.json > internal/audit/siem/testdata/ocsf/schema-1.4.0.json
package main

import (
	"encoding/json"
	"log"
	"os"
)

var (
	classes = []string{"api_activity", "network_activity"} // and the base event
	objects = []string{"actor", "api", "metadata", "network_connection_info", "network_endpoint", "object", "observable", "policy", "product", "request", "resource_details", "service", "user"}
	members = []string{"type", "object_type", "is_array", "requirement", "profile", "sibling"}
)

type entity struct {
	UID         int                       `json:"uid,omitempty"`
	Name        string                    `json:"name"`
	Caption     string                    `json:"caption"`
	Category    string                    `json:"category_name,omitempty"`
	CategoryUID int                       `json:"category_uid,omitempty"`
	Profiles    []string                  `json:"profiles,omitempty"`
	Constraints map[string][]string       `json:"constraints,omitempty"`
	Attributes  map[string]map[string]any `json:"attributes"`
}

func main() {
	var in struct {
		Version string            `json:"version"`
		Classes map[string]entity `json:"classes"`
		Objects map[string]entity `json:"objects"`
		Base    entity            `json:"base_event"`
		Types   map[string]struct {
			Type  string `json:"type,omitempty"`
			Regex string `json:"regex,omitempty"`
			Max   int    `json:"max_len,omitempty"`
			Range []int  `json:"range,omitempty"`
		} `json:"types"`
	}
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		log.Fatal(err)
	}
	out := map[string]any{"version": in.Version, "types": in.Types}
	kept := map[string]entity{"base_event": trim(in.Base)}
	for _, name := range classes {
		kept[name] = trim(in.Classes[name])
	}
	used := map[string]entity{}
	for _, name := range objects {
		used[name] = trim(in.Objects[name])
	}
	out["classes"], out["objects"] = kept, used
	enc := json.NewEncoder(os.Stdout)
	enc.SetIndent("", " ")
	if err := enc.Encode(out); err != nil {
		log.Fatal(err)
	}
}

// trim keeps of each attribute what can be checked.
func trim(e entity) entity {
	for name, a := range e.Attributes {
		kept := map[string]any{}
		for _, m := range members {
			if v, ok := a[m]; ok && v != nil {
				kept[m] = v
			}
		}
		if enum, ok := a["enum"].(map[string]any); ok {
			captions := map[string]any{}
			for id, v := range enum {
				captions[id] = v.(map[string]any)["caption"]
			}
			kept["enum"] = captions
		}
		e.Attributes[name] = kept
	}
	return e
}
