package siem

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"
)

// ocsfSchema is what OCSF publishes, as far as our events use it.
type ocsfSchema struct {
	Version          string
	Classes, Objects map[string]ocsfEntity
	Types            map[string]struct {
		Type, Regex string
		MaxLen      int `json:"max_len"`
		Range       []float64
	}
	patterns map[string]*regexp.Regexp // of types
}

type ocsfEntity struct {
	UID         int
	Caption     string
	CategoryUID int    `json:"category_uid"`
	Category    string `json:"category_name"`
	Profiles    []string
	Constraints map[string][]string
	Attributes  map[string]ocsfAttribute
}

type ocsfAttribute struct {
	Type        string
	ObjectType  string `json:"object_type"`
	IsArray     bool   `json:"is_array"`
	Requirement string
	Profile     string
	Sibling     string
	Enum        map[string]string
}

func published(t testing.TB) *ocsfSchema {
	t.Helper()
	text, err := os.ReadFile("testdata/ocsf/schema-" + OCSFVersion + ".json")
	if err != nil {
		t.Fatal(err)
	}
	s := new(ocsfSchema)
	if err := json.Unmarshal(text, s); err != nil {
		t.Fatal(err)
	}
	if s.Version != OCSFVersion {
		t.Fatal(s.Version)
	}
	s.patterns = make(map[string]*regexp.Regexp)
	for name, kind := range s.Types {
		s.patterns[name] = regexp.MustCompile(kind.Regex)
	}
	return s
}

// check returns what in an event is not as its class, its profiles and its objects say.
func (s *ocsfSchema) check(text []byte) (found []string) {
	var event map[string]any
	if err := json.Unmarshal(text, &event); err != nil {
		return []string{err.Error()}
	}
	number := func(key string) int {
		n, _ := event[key].(float64)
		return int(n)
	}
	var class ocsfEntity
	for _, c := range s.Classes {
		if c.UID == number("class_uid") {
			class = c
		}
	}
	if class.Attributes == nil {
		return []string{fmt.Sprintf("class %v is unknown", event["class_uid"])}
	}
	if number("type_uid") != number("class_uid")*100+number("activity_id") || number("category_uid") != class.CategoryUID {
		found = append(found, fmt.Sprintf("type %v, category %v of class %d, activity %v", event["type_uid"], event["category_uid"], class.UID, event["activity_id"]))
	}
	if meta, ok := event["metadata"].(map[string]any); !ok || meta["version"] != s.Version {
		found = append(found, "another version")
	}
	if at := number("time"); at < 0 || at > 0 && (at < 1e12 || at > 1e13) {
		found = append(found, fmt.Sprintf("%d are no milliseconds since 1970", at))
	}
	profiles := profilesOf(event)
	for _, p := range profiles {
		if !slices.Contains(class.Profiles, p) {
			found = append(found, class.Caption+" has no profile "+p)
		}
	}
	return append(found, s.entity("", class, event, profiles)...)
}

func profilesOf(event map[string]any) (out []string) {
	meta, _ := event["metadata"].(map[string]any)
	list, _ := meta["profiles"].([]any)
	for _, p := range list {
		out = append(out, fmt.Sprint(p))
	}
	return out
}

func (s *ocsfSchema) entity(at string, e ocsfEntity, v map[string]any, profiles []string) (found []string) {
	for name, a := range e.Attributes {
		if a.Requirement == "required" && v[name] == nil && (a.Profile == "" || slices.Contains(profiles, a.Profile)) {
			found = append(found, at+name+" is required")
		}
		if a.Sibling != "" && len(a.Enum) > 0 && v[name] != nil && v[a.Sibling] != nil {
			id := fmt.Sprint(v[name])
			if want := a.Enum[id]; id != strconv.Itoa(other) && v[a.Sibling] != want {
				found = append(found, fmt.Sprintf("%s%s is %v, and %s of %s is called %s", at, a.Sibling, v[a.Sibling], name, id, want))
			}
		}
	}
	for kind, names := range e.Constraints {
		n := 0
		for _, name := range names {
			if v[name] != nil {
				n++
			}
		}
		if n == 0 || kind == "just_one" && n > 1 {
			found = append(found, fmt.Sprintf("%s has %d of %v, and needs %s", at, n, names, kind))
		}
	}
	for name, value := range v {
		a, ok := e.Attributes[name]
		switch {
		case !ok && len(e.Attributes) > 0: // the object called object takes anything
			found = append(found, at+name+" is no attribute of "+e.Caption)
		case a.Profile != "" && !slices.Contains(profiles, a.Profile):
			found = append(found, at+name+" is of the profile "+a.Profile)
		case ok:
			found = append(found, s.attribute(at+name, a, value, profiles)...)
		}
	}
	return found
}

func (s *ocsfSchema) attribute(at string, a ocsfAttribute, value any, profiles []string) (found []string) {
	if a.IsArray {
		list, ok := value.([]any)
		if !ok {
			return []string{at + " is no list"}
		}
		a.IsArray = false
		for i, one := range list {
			found = append(found, s.attribute(fmt.Sprintf("%s[%d]", at, i), a, one, profiles)...)
		}
		return found
	}
	if a.Type == "object_t" {
		o, ok := value.(map[string]any)
		e, known := s.Objects[a.ObjectType]
		if !ok || !known {
			return []string{fmt.Sprintf("%s is no %s, or the subset lacks that", at, a.ObjectType)}
		}
		return s.entity(at+".", e, o, profiles)
	}
	return s.scalar(at, a, value)
}

func (s *ocsfSchema) scalar(at string, a ocsfAttribute, value any) (found []string) {
	kind, ok := s.Types[a.Type]
	if !ok {
		return []string{at + ": type " + a.Type + " is unknown"}
	}
	base := a.Type
	if kind.Type != "" {
		base = kind.Type
	}
	var bad bool
	switch v := value.(type) {
	case string:
		bad = base != "string_t" || v == "" || !s.patterns[a.Type].MatchString(v) || kind.MaxLen > 0 && len(v) > kind.MaxLen
	case float64:
		bad = base != "integer_t" && base != "long_t" || v != math.Trunc(v) || len(kind.Range) == 2 && (v < kind.Range[0] || v > kind.Range[1])
	case bool:
		bad = base != "boolean_t"
	default:
		bad = base != "json_t"
	}
	if bad {
		found = append(found, fmt.Sprintf("%s is no %s: %v", at, a.Type, value))
	}
	if len(a.Enum) > 0 && a.Enum[fmt.Sprint(value)] == "" && a.Enum[strconv.FormatFloat(asFloat(value), 'f', -1, 64)] == "" {
		found = append(found, fmt.Sprintf("%s is none of its values: %v", at, value))
	}
	return found
}

func asFloat(v any) float64 {
	f, _ := v.(float64)
	return f
}
