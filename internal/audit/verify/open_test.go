package verify_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/audit/verify"
)

func TestExchangesWithoutAnEndAreTold(t *testing.T) {
	const (
		start    = `{"v":1,"record":"segment","start":"interrupted"}`
		rotated  = `{"v":1,"record":"segment","start":"rotated"}`
		answered = `{"exchange":"X","direction":"to_client","action":"allow","kind":"response"}`
		event    = `{"exchange":"X","direction":"to_client","action":"allow","stream":true}`
		dropped  = `{"exchange":"X","direction":"to_client","action":"deny","stream":true}`
		refused  = `{"exchange":"X","direction":"to_server","action":"deny"}`
		closing  = `{"exchange":"X","closed":"client_left"}`
		leaves   = `{"exchange":"X","closed":"client_left","egress":{}}`
		let      = `{"exchange":"X","direction":"to_server","action":"allow","server":"crm","tenant":"acme"}`
		unseen   = `{"exchange":"X","direction":"to_server","action":"allow","server":"crm","unseen":true}`
		wayout   = `{"exchange":"X","direction":"to_server","action":"allow","egress":{}}`
		foreign  = `{"exchange":"X","direction":"to_server","action":"allow","server":"crm","tenant":"other"}`
		command  = `{"exchange":"admin-X","direction":"to_server","action":"allow","guard":"sinks"}`
	)
	for _, tt := range []struct {
		name   string
		files  []string // lines, X is a
		filter verify.Filter
		want   string // exchanges, with ! those that are over
		unseen int
	}{
		{"an answer ends a call", []string{let + answered}, verify.Filter{}, "", 0},
		{"so does a closing receipt", []string{let + closing}, verify.Filter{}, "", 0},
		{"so does a refusal after all", []string{let + refused}, verify.Filter{}, "", 0},
		{"a call that was refused never began", []string{refused}, verify.Filter{}, "", 0},
		{"a call in flight", []string{let}, verify.Filter{}, "a", 0},
		{"a stream in flight, whatever came on it", []string{let + event + dropped}, verify.Filter{}, "a", 0},
		{"a stream that ended", []string{let + event + dropped + closing}, verify.Filter{}, "", 0},
		{"a call in flight when the gateway was killed", []string{let + start}, verify.Filter{}, "a!", 0},
		{"a call over the end of a segment", []string{let + rotated}, verify.Filter{}, "a", 0},
		{"a tunnel outlives the gateway", []string{wayout + start}, verify.Filter{}, "a", 0},
		{"and ends later", []string{wayout + start + leaves}, verify.Filter{}, "", 0},
		{"at another replica", []string{wayout, leaves}, verify.Filter{}, "", 0},
		{"in whatever order these are read", []string{leaves, wayout}, verify.Filter{}, "", 0},
		{"another replica's start ends nothing here", []string{let, start}, verify.Filter{}, "a", 0},
		{"nothing is claimed of what nobody sees", []string{unseen}, verify.Filter{}, "", 1},
		{"a command of an operator went nowhere", []string{command}, verify.Filter{}, "", 0},
		{"those of one tenant", []string{let, strings.ReplaceAll(foreign, "X", "b")}, verify.Filter{Tenant: "acme"}, "a", 0},
		{"an end counts though the filter leaves it out", []string{let + closing}, verify.Filter{Tenant: "acme"}, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var paths []string
			for i, text := range tt.files {
				path := filepath.Join(t.TempDir(), string(rune('a'+i))+".jsonl")
				text = strings.ReplaceAll(strings.ReplaceAll(text, "X", "a"), `}{"`, "}\n{\"")
				if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				paths = append(paths, path)
			}
			var got []string
			o, err := verify.Open(paths, tt.filter, func(u verify.Unended) error {
				var r struct{ Exchange string }
				if err := json.Unmarshal(u.Line, &r); err != nil || u.At.Line == 0 || !slices.Contains(paths, u.Path) {
					t.Errorf("%v: %+v", err, u)
				}
				if u.Over {
					r.Exchange += "!"
				}
				got = append(got, r.Exchange)
				return nil
			})
			if err != nil || strings.Join(got, " ") != tt.want || o.Unseen != tt.unseen || o.Over != strings.Count(tt.want, "!") {
				t.Errorf("%v: %q, %+v; want %q", err, got, o, tt.want)
			}
		})
	}
}
