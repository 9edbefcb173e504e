package notation_test

import (
	"encoding"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/config/notation"
)

type notated interface {
	encoding.TextMarshaler
	Notation() notation.Notation
}

// kinds are all notations, each as a pointer to its zero value.
func kinds() []encoding.TextUnmarshaler {
	return []encoding.TextUnmarshaler{
		new(notation.Range), new(notation.Rates), new(notation.Money), new(notation.Budget), new(notation.Percent),
		new(notation.Comparison), new(notation.Size), new(notation.Count), new(notation.ListenAddress),
		new(notation.DialAddress), new(notation.HostPattern), new(notation.SecretRef), new(notation.Network),
	}
}

func TestValuesAreReadAndWrittenBack(t *testing.T) {
	for _, c := range []struct {
		text  string
		want  any
		again string // canonical form
	}{
		{"5-15 minutes", notation.Range{Min: 5 * time.Minute, Max: 15 * time.Minute}, "5m-15m"},
		{"5m-15m", notation.Range{Min: 5 * time.Minute, Max: 15 * time.Minute}, "5m-15m"},
		{"10 minutes", notation.Range{Min: 10 * time.Minute, Max: 10 * time.Minute}, "10m"},
		{"1000/hour", notation.Rates{{Count: 1000, Per: time.Hour}}, "1000/hour"},
		{"20/second, 1000/hour", notation.Rates{{Count: 20, Per: time.Second}, {Count: 1000, Per: time.Hour}}, "20/second, 1000/hour"},
		{"5/min,9/d", notation.Rates{{Count: 5, Per: time.Minute}, {Count: 9, Per: 24 * time.Hour}}, "5/minute, 9/day"},
		{"$50", notation.Money(50_000_000), "$50"},
		{"$0.01", notation.Money(10_000), "$0.01"},
		{"$0.000001", notation.Money(1), "$0.000001"},
		{"$1000/month", notation.Budget{Amount: 1_000_000_000, Per: notation.PerMonth}, "$1000/month"},
		{"80%_threshold", notation.Percent(80), "80%"},
		{"100%", notation.Percent(100), "100%"},
		{"confidence < 0.8", notation.Comparison{Subject: "confidence", Op: "<", Value: "0.8"}, "confidence < 0.8"},
		{"4MiB", 4 * notation.MiB, "4MiB"},
		{"1000KB", notation.Size(1_000_000), "1MB"},
		{"1024KiB", notation.MiB, "1MiB"},
		{"100", notation.Count(100), "100"},
		{"sallyport:9001", notation.DialAddress{Host: "sallyport", Port: 9001}, "sallyport:9001"},
		{"[::1]:9001", notation.DialAddress{Host: "::1", Port: 9001}, "[::1]:9001"},
		{"*.Company.com", notation.HostPattern("*.company.com"), "*.company.com"},
		{"env:API_TOKEN", notation.SecretRef{Kind: "env", Name: "API_TOKEN"}, "env:API_TOKEN"},
		{"file:/run/../run/secrets/t", notation.SecretRef{Kind: "file", Name: "/run/secrets/t"}, "file:/run/secrets/t"},
	} {
		v := reflect.New(reflect.TypeOf(c.want))
		if err := v.Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(c.text)); err != nil {
			t.Errorf("%q as %T: %v", c.text, c.want, err)
			continue
		}
		if got := v.Elem().Interface(); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q is read as %+v, want %+v", c.text, got, c.want)
		}
		again, err := v.Elem().Interface().(encoding.TextMarshaler).MarshalText()
		if err != nil || string(again) != c.again {
			t.Errorf("%q is written back as %q (%v), want %q", c.text, again, err, c.again)
		}
	}
}

func TestDurationsAreReadAndWrittenBack(t *testing.T) {
	for text, want := range map[string]struct {
		d     time.Duration
		again string
	}{
		"5m": {5 * time.Minute, "5m"}, "30 minutes": {30 * time.Minute, "30m"}, "1 minute": {time.Minute, "1m"},
		"hourly": {time.Hour, "1h"}, "daily": {24 * time.Hour, "1d"}, "weekly": {168 * time.Hour, "7d"},
		"7_days": {168 * time.Hour, "7d"}, "24_hours": {24 * time.Hour, "1d"}, "2 weeks": {336 * time.Hour, "14d"},
		"1h30m": {90 * time.Minute, "1h30m"}, "1.5h": {90 * time.Minute, "1h30m"}, "500ms": {500 * time.Millisecond, "500ms"},
		"0s": {0, "0s"}, "0.25 seconds": {250 * time.Millisecond, "250ms"}, "1m0.5s": {60500 * time.Millisecond, "1m500ms"},
	} {
		d, err := notation.ParseDuration(text)
		if err != nil || d != want.d {
			t.Errorf("%q is read as %v (%v), want %v", text, d, err, want.d)
		}
		if again := notation.FormatDuration(d); again != want.again {
			t.Errorf("%q is written back as %q, want %q", text, again, want.again)
		}
	}
}

func TestWrongDurationsAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                "is empty",
		"5":               "has no unit",
		"-5m":             "is not a duration",
		"5 m":             "is not a duration",
		"5 fortnight":     "is not a duration",
		"30m1h":           "from large to small",
		"1h1h":            "from large to small",
		"0.0000001ms":     "finer than a nanosecond",
		"99999999999999d": "too large",
		"106751d24h":      "too large",
		"5M":              "is not a duration",
		" 5m":             "is not a duration",
		"5m\n":            "is not a duration",
	} {
		if d, err := notation.ParseDuration(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is read as %v with error %v, want an error with %q", text, d, err, want)
		}
	}
}

func TestWrongValuesAreRefused(t *testing.T) {
	for _, c := range []struct {
		into encoding.TextUnmarshaler
		text string
		want string
	}{
		{new(notation.Range), "15-5 minutes", "the shorter one first"},
		{new(notation.Range), "5-15", "is not a range of durations"},
		{new(notation.Range), "5m-", "is not a range of durations"},
		{new(notation.Rates), "1000", "is not a rate"},
		{new(notation.Rates), "0/hour", "is not a rate"},
		{new(notation.Rates), "1000/fortnight", "is not a rate"},
		{new(notation.Rates), "1000/hour,", "is not a rate"},
		{new(notation.Rates), "10/hour, 20/h", "two rates for one window"},
		{new(notation.Money), "50", "is not an amount of money"},
		{new(notation.Money), "$1,000", "US dollars"},
		{new(notation.Money), "$-5", "US dollars"},
		{new(notation.Money), "$0.0000001", "six decimals"},
		{new(notation.Money), "€5", "US dollars"},
		{new(notation.Budget), "$5", "per hour, day, week or month"},
		{new(notation.Budget), "$5/year", "per hour, day, week or month"},
		{new(notation.Percent), "0%", "from 1 to 100"},
		{new(notation.Percent), "101%", "from 1 to 100"},
		{new(notation.Percent), "80", "from 1 to 100"},
		{new(notation.Comparison), "confidence = 0.8", "is not a comparison"},
		{new(notation.Comparison), "confidence<0.8", "is not a comparison"},
		{new(notation.Size), "4", "has no unit"},
		{new(notation.Size), "4 MiB", "is not a size"},
		{new(notation.Size), "4mib", "is not a size"},
		{new(notation.Size), "999999999999GiB", "too large"},
		{new(notation.Count), "-1", "is not a count"},
		{new(notation.Count), "0x10", "is not a count"},
		{new(notation.ListenAddress), ":8080", "write 127.0.0.1:8080 for this machine only"},
		{new(notation.ListenAddress), "localhost:8080", "is a name; write 127.0.0.1:8080"},
		{new(notation.ListenAddress), "127.0.0.1", "is not an address to listen on"},
		{new(notation.ListenAddress), "127.0.0.1:70000", "is not an address to listen on"},
		{new(notation.ListenAddress), "[fe80::1%eth0]:80", "is not an address to listen on"},
		{new(notation.DialAddress), "host:0", "is not an address to connect to"},
		{new(notation.DialAddress), "ho st:80", "is not an address to connect to"},
		{new(notation.DialAddress), "1.2.3:80", "is not an address to connect to"},
		{new(notation.HostPattern), "https://api.company.com", "without scheme"},
		{new(notation.HostPattern), "*.10.0.0.1", "without scheme"},
		{new(notation.HostPattern), "a.*.com", "without scheme"},
		{new(notation.HostPattern), "0x7f.1", "without scheme"},
		{new(notation.SecretRef), "vault:kv/x", "not available in this build"},
		{new(notation.SecretRef), "env:", "is not a reference"},
		{new(notation.SecretRef), "env:A B", "is not a reference"},
		{new(notation.SecretRef), "file:relative", "a reference has an absolute one"},
	} {
		if err := c.into.UnmarshalText([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q as %T gives the error %v, want one with %q", c.text, c.into, err, c.want)
		}
	}
}

func TestExamplesAreValidAndMatchTheirPattern(t *testing.T) {
	all := map[string]notation.Notation{}
	for _, k := range kinds() {
		n := reflect.ValueOf(k).Elem().Interface().(notated).Notation()
		all[n.Name] = n
		for _, e := range n.Examples {
			if err := k.UnmarshalText([]byte(e)); err != nil {
				t.Errorf("%s: example %q: %v", n.Name, e, err)
			}
		}
	}
	all["duration"] = notation.Durations()
	for _, n := range all {
		for _, e := range n.Examples {
			if !regexp.MustCompile(n.Pattern).MatchString(e) {
				t.Errorf("%s: example %q does not match the pattern", n.Name, e)
			}
		}
	}
}

// What the loader accepts must be valid by the JSON Schema, whatever it is; and
// what is written back must read as the same value.
func FuzzWhatIsReadMatchesThePatternAndReadsBack(f *testing.F) {
	for _, k := range kinds() {
		for _, e := range reflect.ValueOf(k).Elem().Interface().(notated).Notation().Examples {
			f.Add(e)
		}
	}
	for _, e := range []string{"5m", "1h30m", "7_days", "-", "$", "5-", "1/s,1/s", "[::]:0", "file:/\n", "*."} {
		f.Add(e)
	}
	patterns := make([]*regexp.Regexp, 0, len(kinds()))
	for _, k := range kinds() {
		patterns = append(patterns, regexp.MustCompile(reflect.ValueOf(k).Elem().Interface().(notated).Notation().Pattern))
	}
	durations := regexp.MustCompile(notation.Durations().Pattern)
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := notation.ParseDuration(s); err == nil {
			if !durations.MatchString(s) {
				t.Errorf("duration %q does not match the pattern", s)
			}
			if again, err := notation.ParseDuration(notation.FormatDuration(d)); d < 0 || err != nil && d%time.Millisecond == 0 || err == nil && again != d {
				t.Errorf("duration %q (%d ns) is written as %q, which reads as %d ns (%v)", s, d, notation.FormatDuration(d), again, err)
			}
		}
		for i, k := range kinds() {
			if k.UnmarshalText([]byte(s)) != nil {
				continue
			}
			if !patterns[i].MatchString(s) {
				t.Errorf("%T %q does not match the pattern", k, s)
			}
			text, err := reflect.ValueOf(k).Elem().Interface().(encoding.TextMarshaler).MarshalText()
			if err != nil {
				t.Fatalf("%T %q: %v", k, s, err)
			}
			again := reflect.New(reflect.TypeOf(k).Elem())
			if err := again.Interface().(encoding.TextUnmarshaler).UnmarshalText(text); err != nil || !reflect.DeepEqual(again.Elem().Interface(), reflect.ValueOf(k).Elem().Interface()) {
				t.Errorf("%T %q is written as %q, which reads as %+v (%v)", k, s, text, again.Elem().Interface(), err)
			}
		}
	})
}
