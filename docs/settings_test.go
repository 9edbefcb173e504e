package docs_test

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/config/strict"
)

const guardsHead = `# Settings of the guards

What each guard has under ` + "`guards.<name>`" + `, beside ` + "`mode`, `on_error` and `timeout`" + `, which all have ([configuration.md](configuration.md#guards)).
A guard's own page says what it does and when it is on. Generated from the code (` + "`go test ./docs -update`" + `).

`

func page(guard string) string {
	if guard == "provenance" { // the other half of a guard
		guard = "segment"
	}
	return "../guard/" + guard + "/README.md"
}

func TestTheSettingsOfGuardsAreUpToDate(t *testing.T) {
	want := strings.TrimSuffix(guardsHead+config.GuardReference(app.ConfigOptions(), page), "\n")
	if *update {
		if err := os.WriteFile("guards.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile("guards.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != want {
		t.Error("docs/guards.md is not what the code says; run go test ./docs -update")
	}
}

// settings collects the settings below s by their dotted names, without marks of lists.
func settings(s strict.Setting, into map[string]strict.Setting) map[string]strict.Setting {
	for _, c := range s.Children {
		into[strings.ReplaceAll(c.Path, "[]", "")] = c
		settings(c, into)
	}
	if s.Elem != nil {
		settings(*s.Elem, into)
	}
	return into
}

// fields collects the dotted names of the JSON of a type.
func fields(t reflect.Type, head string, into map[string]bool) map[string]bool {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return into
	}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name == "" {
			if t.Field(i).Anonymous {
				fields(t.Field(i).Type, head, into)
			}
			continue
		}
		into[head+name] = true
		fields(t.Field(i).Type, head+name+".", into)
	}
	return into
}

// TestEverySettingNamedExists reads what stands in code marks and begins with a
// section of the configuration. Fields of /v1/status are written alike.
func TestEverySettingNamedExists(t *testing.T) {
	all := config.Describe(app.ConfigOptions())
	known := settings(all, make(map[string]strict.Setting))
	status := fields(reflect.TypeFor[app.Status](), "", make(map[string]bool))
	var sections []string
	for _, c := range all.Children {
		sections = append(sections, c.Key)
	}
	named := regexp.MustCompile("`((?:" + strings.Join(sections, "|") + ")(?:\\.[a-z_0-9]+(?:\\[\\])?)+)(?:: [^`]*)?`")
	others := []string{"mcp.", "log.record.uid", "guards.length."} // of telemetry, a host, and of OpenTelemetry's logs; the guard of an example
	n := 0
	for path, text := range pages(t, "../guard/*/README.md") {
		if path == "client-places.md" {
			continue // it names members of messages
		}
		for _, m := range named.FindAllStringSubmatch(text, -1) {
			n++
			name := strings.ReplaceAll(m[1], "[]", "")
			if _, ok := known[name]; ok || status[name] || slices.ContainsFunc(others, func(head string) bool { return strings.HasPrefix(name, head) }) {
				continue
			}
			t.Errorf("%s: there is no setting %s", path, m[1])
		}
	}
	if n < 150 {
		t.Errorf("found %d", n)
	}
}

func TestEveryStatusFieldNamedExists(t *testing.T) {
	status := fields(reflect.TypeFor[app.Status](), "", make(map[string]bool))
	text, err := os.ReadFile("operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "### Status fields")
	table, _, _ = strings.Cut(table, "\n#")
	rows := regexp.MustCompile("(?m)^\\| (`[^|]+) \\|").FindAllStringSubmatch(table, -1)
	told := make(map[string]bool)
	for _, row := range rows {
		section := ""
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1) {
			name := m[1]
			if strings.HasPrefix(name, ".") {
				name = section + name
			}
			section, _, _ = strings.Cut(name, ".")
			told[section] = true
			if !status[name] {
				t.Errorf("/v1/status has no field %s", name)
			}
		}
	}
	for name := range status {
		if !strings.Contains(name, ".") && !told[name] {
			t.Errorf("operations.md does not say what %s of /v1/status is", name)
		}
	}
}

var (
	tables = regexp.MustCompile(`(?m)^\| (?:setting|key)([^\n|]*)\|([^\n|]*)\|[^\n]*\n\|[-| ]+\|\n((?:\|[^\n]*\n)+)`)
	cells  = regexp.MustCompile(`(?m)^\|([^|]*)\|([^|]*)\|`)
	codes  = regexp.MustCompile("`([^`]+)`")
)

// TestTheSettingsOnAGuardsPageAreItsOwn reads the first column of the tables of
// settings, and the default in the second where there is one.
func TestTheSettingsOnAGuardsPageAreItsOwn(t *testing.T) {
	known := settings(config.Describe(app.ConfigOptions()), make(map[string]strict.Setting))
	n, defaults := 0, 0
	for path, text := range pages(t, "../guard/*/README.md") {
		name, ok := strings.CutPrefix(path, "../guard/")
		if !ok {
			continue
		}
		for _, m := range tables.FindAllStringSubmatch(text, -1) {
			guard := "guards." + strings.TrimSuffix(name, "/README.md")
			if under := codes.FindStringSubmatch(m[1]); under != nil {
				guard = under[1]
			}
			for _, row := range cells.FindAllStringSubmatch(m[3], -1) {
				names := codes.FindAllStringSubmatch(row[1], -1)
				for _, code := range names {
					n++
					s, ok := find(known, guard, strings.ReplaceAll(code[1], "[]", ""))
					if !ok {
						t.Errorf("%s: %s has no setting %s", path, guard, code[1])
						continue
					}
					says := codes.FindStringSubmatch(row[2])
					if strings.TrimSpace(m[2]) != "default" || len(names) != 1 || says == nil || s.Default == "" {
						continue
					}
					defaults++
					if says[1] != s.Default {
						t.Errorf("%s: %s.%s is %s by default, not %s", path, guard, code[1], s.Default, says[1])
					}
				}
			}
		}
	}
	if n < 80 || defaults < 15 {
		t.Errorf("found %d settings, and %d defaults", n, defaults)
	}
}

// find returns a setting by its name from the top, from the guard's section, or
// by the end of it.
func find(known map[string]strict.Setting, guard, name string) (strict.Setting, bool) {
	for _, path := range []string{name, guard + "." + name} {
		if s, ok := known[path]; ok {
			return s, true
		}
	}
	for path, s := range known {
		if strings.HasPrefix(path, guard+".") && strings.HasSuffix(path, "."+name) {
			return s, true
		}
	}
	return strict.Setting{}, false
}
