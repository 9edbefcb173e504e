package catalog_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	guard "github.com/sallyport/sallyport/guard/catalog"
	"github.com/sallyport/sallyport/internal/inspect/definition"
)

func huge(name string) string {
	return `{"name":"` + name + `","description":"` + strings.Repeat("a", 300<<10) + `"}`
}

// What is too large to be kept is a change like any other: the pinned tool must
// not stay callable while the server does something else under its name.
func TestAnOversizedChangeOfAPinnedToolIsHeldAtCallTimeToo(t *testing.T) {
	for _, onChange := range []string{"quarantine", "alert"} {
		c, dir := guard.Default(), t.TempDir()
		c.OnChange = onChange
		book := open(t, dir)
		b := book.Under(c)
		see(t, b, "crm", mail)
		if s := see(t, b, "crm", huge("send_email")); s[0].State != guard.Held || events(s) != "definition_changed definition_suspicious" {
			t.Errorf("%s: %v %s", onChange, s[0].State, events(s))
		}
		if s := see(t, b, "crm", huge("send_email")); events(s) != "" {
			t.Errorf("%s: told twice: %s", onChange, events(s))
		}
		if s := b.Standing("crm", definition.Tool, "send_email"); s.State != guard.Held || !strings.Contains(s.Why, "larger than") {
			t.Errorf("%s: at call time: %+v", onChange, s)
		}
		if err := book.Pin("crm", definition.Tool, "send_email", "", "alice"); err == nil {
			t.Errorf("%s: what nobody can look at was pinned", onChange)
		}
		if s := open(t, dir).Under(c).Standing("crm", definition.Tool, "send_email"); s.State != guard.Held {
			t.Errorf("%s: after a restart: %+v", onChange, s)
		}
		if s := see(t, b, "crm", mail); s[0].State != guard.Trusted {
			t.Errorf("%s: it went back: %+v", onChange, s)
		}
		if see(t, b, "crm", huge("new")); b.Standing("crm", definition.Tool, "new").State != guard.Held {
			t.Errorf("%s: a new one can be called", onChange)
		}
	}
}

func TestAServerThatHasDefinedTooMuchHidesNothingBehindIt(t *testing.T) {
	b := open(t, "").Under(guard.Default())
	var list []definition.Definition
	for i := range 10_001 {
		name := fmt.Sprintf("t%d", i)
		list = append(list, definition.Definition{Kind: definition.Resource, Name: name, Raw: json.RawMessage(`{"uri":"` + name + `"}`)})
	}
	if _, err := b.See(t.Context(), "crm", list); err != nil {
		t.Fatal(err)
	}
	if s := b.Standing("crm", definition.Tool, "anything"); s.State != guard.Held {
		t.Errorf("%+v", s)
	}
}

// stamp tells whether a file was written.
func stamp(t *testing.T, dir string) string {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, "crm.json"))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(info.Sys())
}

// Each write is an fsync, which a server must not be able to ask for as often as
// it is listed.
func TestListsThatSayTwoThingsWriteNoFileEachTime(t *testing.T) {
	for name, lists := range map[string][][]string{
		"one name twice":               {{mail, changed}},
		"the other way round":          {{changed, mail}},
		"three forms":                  {{mail, changed, evil}},
		"a form that is too large":     {{mail, huge("send_email")}},
		"one form, then the other":     {{mail}, {changed}},
		"two forms that nobody pinned": {{evil}, {changed}},
	} {
		dir := t.TempDir()
		c := guard.Default()
		c.Suspicion.Instructions = "quarantine"
		book := open(t, dir)
		b := book.Under(c)
		see(t, b, "crm", lists[0]...)
		writes, last := 0, stamp(t, dir)
		for range 100 {
			for _, l := range lists {
				see(t, b, "crm", l...)
				if now := stamp(t, dir); now != last {
					writes, last = writes+1, now
				}
			}
		}
		if writes > 80 {
			t.Errorf("%s: %d writes", name, writes)
		}
		if s := b.Standing("crm", definition.Tool, "send_email"); s.State != guard.Held {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// In alert mode too, what flickers is not let through unlooked at.
func TestAFormBehindManyOthersIsNotTrusted(t *testing.T) {
	c := guard.Default()
	c.OnChange, c.Suspicion.Instructions = "alert", "quarantine"
	book := open(t, "")
	b := book.Under(c)
	see(t, b, "crm", mail)
	for range 40 {
		see(t, b, "crm", changed)
		see(t, b, "crm", mail)
	}
	if s := see(t, b, "crm", evil); s[0].State != guard.Held {
		t.Errorf("%+v", s)
	}
	if err := book.Pin("crm", definition.Tool, "send_email", "", "alice"); err != nil {
		t.Fatal(err)
	}
	if s := see(t, b, "crm", changed); s[0].State != guard.Trusted {
		t.Errorf("an operator has looked: %+v", s)
	}
}

func TestNamesThatDifferByCaseAreKnownForIt(t *testing.T) {
	b := open(t, "").Under(guard.Default())
	see(t, b, "crm", `{"name":"delete_task"}`)
	for name, like := range map[string]string{"Delete_Task": "delete_task", "delete_tas\u212a": "delete_task", "delete_task": "", "delete": ""} {
		if s := b.Standing("crm", definition.Tool, name); s.Like != like {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestAnAnnouncementHoldsUntilSomebodyLists(t *testing.T) {
	b := open(t, "").Under(guard.Default())
	see(t, b, "crm", mail)
	stale := func() bool { return b.Standing("crm", definition.Tool, "send_email").Stale }
	if !b.Announced("crm", definition.Tool) || b.Announced("crm", definition.Tool) || !stale() {
		t.Error("not noted, or noted twice")
	}
	if b.Standing("erp", definition.Tool, "send_email").Stale || b.Standing("crm", definition.Prompt, "x").Stale {
		t.Error("somebody else's")
	}
	if b.Known("crm", tools(mail)); stale() {
		t.Error("it was listed as it was")
	}
	b.Announced("crm", definition.Tool)
	if see(t, b, "crm", changed); stale() {
		t.Error("it was listed anew")
	}
}
