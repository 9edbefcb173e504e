package config

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/sallyport/sallyport/internal/config/strict"
)

// Capabilities lists what a build can do about the guide's blocks. An entry is
// a setting with all below it ("gateway.rate_limiting"), or one value of a
// setting ("gateway.authentication.method=none"). The composition root knows
// them, because it knows what it joins; whoever adds a guard adds its entry.
type Capabilities []string

// has reports whether the setting at path, or one above it, is listed.
func (c Capabilities) has(path string) bool {
	for _, entry := range c {
		if rest, ok := strings.CutPrefix(path, entry); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return true
		}
	}
	return false
}

// values returns the values of the setting at path that are listed.
func (c Capabilities) values(path string) []string {
	var out []string
	for _, entry := range c {
		if value, ok := strings.CutPrefix(entry, path+"="); ok {
			out = append(out, value)
		}
	}
	return out
}

// guideBlocks returns the top-level keys that capabilities decide about.
func guideBlocks() []string {
	t := reflect.TypeFor[Config]()
	var keys []string
	for i := range t.NumField() {
		f := t.Field(i)
		key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		keys = append(keys, key)
		if f.Name == "CostControls" { // the last of them
			break
		}
	}
	return keys
}

// gate reports every setting below at that is sound and that nothing in this
// build enforces.
func (c Capabilities) gate(at strict.At) {
	if c.has(at.Path()) || at.Refused() {
		return
	}
	if at.IsMapping() {
		for _, key := range at.Keys() {
			c.gate(at.Field(key))
		}
		return
	}
	if !at.OK() {
		return // one error per value; the other shows when this one is mended
	}
	values := c.values(at.Path())
	if at.IsList() && len(values) > 0 {
		for _, item := range at.Items() {
			c.gateValue(item, values)
		}
		return
	}
	c.gateValue(at, values)
}

func (c Capabilities) gateValue(at strict.At, values []string) {
	text, _ := at.Text()
	for _, value := range values {
		if text == value {
			return
		}
	}
	if len(values) > 0 {
		at.Report("%q is %s; available: %s", text, unavailable, strings.Join(values, ", "))
		return
	}
	at.Report("is %s; remove it", unavailable)
}

const unavailable = "not available in this build: nothing enforces it yet"

// missing tells a JSON Schema why the setting at path cannot be used.
func (c Capabilities) missing(path string) string {
	setting, value, isValue := strings.Cut(path, "=")
	top, _, _ := strings.Cut(setting, ".")
	guided := false
	for _, key := range guideBlocks() {
		guided = guided || key == top
	}
	list := strings.TrimSuffix(setting, "[]")
	switch {
	case !guided || c.has(list):
		return ""
	case isValue:
		for _, v := range c.values(list) {
			if v == value {
				return ""
			}
		}
	case len(c.values(list)) > 0 || c.below(setting):
		return ""
	}
	return fmt.Sprintf("This is %s.", unavailable)
}

// below reports whether anything below the setting at path is listed.
func (c Capabilities) below(path string) bool {
	for _, entry := range c {
		if strings.HasPrefix(entry, path+".") {
			return true
		}
	}
	return false
}
