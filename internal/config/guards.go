package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/internal/config/strict"
)

// GuardSection is what the configuration must know of a guard to read its
// section under guards.
type GuardSection struct {
	Summary  string
	Defaults any // pointer to a struct with yaml and doc tags; it is not changed

	// Check, if set, judges a decoded section, a pointer like Defaults. Its
	// error begins with the key it is about: "allowed_hosts: ...".
	Check func(config any) error
}

// Guard is the section of one guard.
type Guard struct {
	Mode    string // "enforce", "shadow" or "off"
	OnError string // "deny" or "allow"
	Timeout time.Duration
	Config  any // pointer to the guard's own struct; not to be changed
}

// Decode copies the guard's own settings to the struct that into points to,
// which must be of the guard's type.
func (g Guard) Decode(into any) error {
	to, from := reflect.ValueOf(into), reflect.ValueOf(g.Config)
	if to.Kind() != reflect.Pointer || !from.IsValid() || to.Type() != from.Type() {
		return fmt.Errorf("config: decode guard: want %T, not %T", g.Config, into)
	}
	to.Elem().Set(from.Elem())
	return nil
}

// common is what every guard's section may hold beside the guard's own settings.
type common struct {
	Mode    string        `yaml:"mode" oneof:"enforce|shadow|off" doc:"enforce; shadow asks and records, and ignores the answer; off does not ask"`
	OnError string        `yaml:"on_error" oneof:"deny|allow" doc:"What happens to a message when the guard fails to reach a decision"`
	Timeout time.Duration `yaml:"timeout" min:"1ms" max:"10m" doc:"How long the guard may wait for something outside the gateway; less than limits.judge_time"`
}

func defaultCommon() common {
	return common{Mode: "enforce", OnError: "deny", Timeout: time.Second}
}

// guards reads the sections below at, one for each guard of the build.
func guards(d *strict.Decoder, at strict.At, sections map[string]GuardSection, judge time.Duration) map[string]Guard {
	names := make([]string, 0, len(sections))
	for name := range sections {
		names = append(names, name)
	}
	slices.Sort(names)
	at.Known("is not a guard of this build", names...)
	out := make(map[string]Guard, len(names))
	for _, name := range names {
		section, place := sections[name], at.Field(name)
		head := defaultCommon()
		own := reflect.New(reflect.TypeOf(section.Defaults).Elem())
		own.Elem().Set(reflect.ValueOf(section.Defaults).Elem())
		if place.Exists() {
			d.Decode(place, &head, own.Interface())
		}
		if wait := place.Field("timeout"); wait.Exists() && wait.OK() && head.Timeout >= judge {
			wait.Report("must be less than limits.judge_time, after which Envoy refuses the request by itself")
		}
		if section.Check != nil && place.OK() {
			for _, err := range leaves(section.Check(own.Interface())) {
				reportAt(place, err.Error())
			}
		}
		out[name] = Guard{head.Mode, head.OnError, head.Timeout, own.Interface()}
	}
	return out
}

// leaves returns the errors that err joins.
func leaves(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var out []error
	for _, e := range joined.Unwrap() {
		out = append(out, leaves(e)...)
	}
	return out
}

var keyed = regexp.MustCompile(`^([a-z][a-z0-9_]*)(?:\[([0-9]{1,6})\])?[:.] ?(.*)$`)

// reportAt reports a guard's complaint at the key it begins with, if the section
// has that key.
func reportAt(at strict.At, text string) {
	for {
		m := keyed.FindStringSubmatch(text)
		if m == nil || !at.Field(m[1]).Exists() {
			break
		}
		at, text = at.Field(m[1]), m[3]
		if i, err := strconv.Atoi(m[2]); err == nil && at.Item(i).Exists() {
			at = at.Item(i)
		}
	}
	at.Report("%s", text)
}
