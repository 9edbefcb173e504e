package config_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/internal/config"
)

// watched is a source that watches a configuration with a registry directory.
type watched struct {
	*config.Source
	dir string
}

func watch(t *testing.T) watched {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "sallyport.yaml"), base+"registry: {directory: servers.d}\n")
	write(t, filepath.Join(dir, "servers.d/crm.yaml"), "name: crm\nurl: http://127.0.0.1:1/\n")
	return watchFile(t, filepath.Join(dir, "sallyport.yaml"), nil)
}

func watchFile(t *testing.T, path string, accept func(old, next *config.Config) error) watched {
	t.Helper()
	s, err := config.NewSource(path, options(), accept)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Watch(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return watched{s, filepath.Dir(path)}
}

func (w watched) names() string {
	var names []string
	for _, s := range w.Current().View().Servers() {
		names = append(names, s.Name)
	}
	return strings.Join(names, " ")
}

// eventually waits for a change that comes by itself.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

func TestServersComeAndGoWithTheirFiles(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Run("watch", func(t *testing.T) {
		w := watch(t)
		settings := w.Current().Revision()
		write(t, filepath.Join(w.dir, "servers.d/data.yaml"), "name: data\nurl: http://127.0.0.1:2/\n")
		eventually(t, "a new file's server", func() bool { return w.names() == "crm data" })
		select {
		case <-w.Changes():
		case <-time.After(time.Minute):
			t.Error("no change is told")
		}
		if err := os.Remove(filepath.Join(w.dir, "servers.d/crm.yaml")); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a removed file's server to go", func() bool { return w.names() == "data" })
		if w.Current().Revision() != settings {
			t.Error("servers changed the revision of the settings")
		}
	})
}

func TestEditorsAndConfigMapsAreFollowed(t *testing.T) {
	text := func(name string) string { return base + "servers: [{name: " + name + ", url: 'http://h/'}]\n" }
	for _, c := range []struct {
		name   string
		lay    func(t *testing.T, dir string) // puts "old" in place
		change func(t *testing.T, dir string) // replaces it with "new"
	}{
		{"writing in place", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "sallyport.yaml"), text("old"))
		}, func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "sallyport.yaml"), text("new"))
		}},
		{"renaming over", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "sallyport.yaml"), text("old"))
		}, func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, ".sallyport.yaml.swp"), text("new"))
			rename(t, filepath.Join(dir, ".sallyport.yaml.swp"), filepath.Join(dir, "sallyport.yaml"))
		}},
		{"keeping a backup", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "sallyport.yaml"), text("old"))
		}, func(t *testing.T, dir string) {
			rename(t, filepath.Join(dir, "sallyport.yaml"), filepath.Join(dir, "sallyport.yaml~"))
			write(t, filepath.Join(dir, "sallyport.yaml"), text("new"))
		}},
		{"swapping a ConfigMap's data link", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "..1/sallyport.yaml"), text("old"))
			link(t, "..1", filepath.Join(dir, "..data"))
			link(t, "..data/sallyport.yaml", filepath.Join(dir, "sallyport.yaml"))
		}, func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "..2/sallyport.yaml"), text("new"))
			link(t, "..2", filepath.Join(dir, "..data_tmp"))
			rename(t, filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data"))
			if err := os.RemoveAll(filepath.Join(dir, "..1")); err != nil {
				t.Fatal(err)
			}
		}},
		{"writing behind a link", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "real/sallyport.yaml"), text("old"))
			link(t, "real/sallyport.yaml", filepath.Join(dir, "sallyport.yaml"))
		}, func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "real/sallyport.yaml"), text("new"))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			c.lay(t, dir)
			w := watchFile(t, filepath.Join(dir, "sallyport.yaml"), nil)
			time.Sleep(200 * time.Millisecond) // let the first look pass, so that the event has to be seen
			c.change(t, dir)
			eventually(t, "the new configuration", func() bool { return w.names() == "new" })
		})
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func TestABadFileKeepsTheLastGoodConfigurationAndSaysWhy(t *testing.T) {
	w := watch(t)
	before := w.Current()
	bad := filepath.Join(w.dir, "servers.d/bad.yaml")
	write(t, bad, "name: bad\nurl: htp://h/\n")
	write(t, filepath.Join(w.dir, "servers.d/good.yaml"), "name: good\nurl: http://h/\n")
	eventually(t, "the refusal", func() bool { return w.Status().Error != nil })
	if w.Current() != before {
		t.Error("a part of a bad change took effect")
	}
	if want := bad + ":2:6: url: "; !strings.HasPrefix(w.Status().Error.Error(), want) {
		t.Errorf("the status says %v, want %s...", w.Status().Error, want)
	}
	refused := w.Status().Refused
	if err := w.Reload(); err == nil || w.Status().Refused != refused {
		t.Errorf("looking again gives %v and counts %d refusals, want the same error counted once", err, w.Status().Refused)
	}
	write(t, bad, "name: mended\nurl: http://h/\n")
	eventually(t, "the mended file", func() bool { return w.names() == "crm good mended" })
	if s := w.Status(); s.Error != nil || s.Reloads != 1 {
		t.Errorf("status is %+v, want one reload and no error", s)
	}
}

func TestAnEmptiedOrLostFileKeepsTheLastGoodConfiguration(t *testing.T) {
	w := watch(t)
	path := filepath.Join(w.dir, "sallyport.yaml")
	write(t, path, "")
	eventually(t, "the refusal of an empty file", func() bool { return w.Status().Error != nil })
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the refusal of no file", func() bool {
		err := w.Status().Error
		return err != nil && strings.Contains(err.Error(), "no such file")
	})
	if w.names() != "crm" {
		t.Errorf("serving %q, want crm", w.names())
	}
}

func TestWhatCannotChangeWhileRunningIsRefusedByName(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sallyport.yaml")
	write(t, path, base)
	s, err := config.NewSource(path, options(), nil)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, base+"log: {level: debug}\nlimits:\n  body: 1MiB\n  event: 2MiB\nlisteners: [{address: 127.0.0.1:1}]\n")
	err = s.Reload()
	want := fmt.Sprintf("%[1]s:8:12: listeners: %[2]s\n%[1]s:6:9: limits.body: %[2]s\n%[1]s:4:14: log.level: %[2]s",
		path, "cannot change while the gateway runs; restart it, or put the old value back")
	if err == nil || err.Error() != want {
		t.Errorf("the error is\n%v\nwant\n%s", err, want)
	}
	write(t, path, base+"limits: {event: 2MiB}\n")
	if err := s.Reload(); err != nil || s.Current().Limits.Event != 2<<20 {
		t.Errorf("a setting that can change gives %v and %d", err, s.Current().Limits.Event)
	}
}

func TestACommentOrAnOrderOfFilesChangesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sallyport.yaml")
	write(t, path, base+"servers: [{name: crm, url: http://h/}]\n")
	asked := 0
	s, err := config.NewSource(path, options(), func(_, _ *config.Config) error { asked++; return nil })
	if err != nil {
		t.Fatal(err)
	}
	before := s.Current()
	write(t, path, "# a comment\n"+base+"servers:\n  - {name: crm, url: http://h:80}\n")
	if err := s.Reload(); err != nil || s.Current() != before || asked != 0 {
		t.Errorf("a comment gives error %v, %d questions, changed: %v", err, asked, s.Current() != before)
	}
}

func TestWhoAppliesAChangeMayRefuseIt(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sallyport.yaml")
	write(t, path, base)
	refuse := errors.New("no room")
	s, err := config.NewSource(path, options(), func(old, next *config.Config) error {
		if old.Limits.Depth != 64 || next.Limits.Depth != 32 {
			t.Errorf("asked about %d after %d", next.Limits.Depth, old.Limits.Depth)
		}
		return refuse
	})
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, base+"limits: {depth: 32}\n")
	if err := s.Reload(); !errors.Is(err, refuse) || s.Current().Limits.Depth != 64 || !errors.Is(s.Status().Error, refuse) {
		t.Errorf("reload gives %v and depth %d", err, s.Current().Limits.Depth)
	}
	select {
	case <-s.Changes():
		t.Error("a refused change is told")
	default:
	}
}

func TestALogBesideTheConfigurationDoesNotHoldUpChanges(t *testing.T) {
	w := watch(t)
	log := filepath.Join(w.dir, "receipts.jsonl")
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
				write(t, log, fmt.Sprint(i))
			}
		}
	}()
	write(t, filepath.Join(w.dir, "servers.d/data.yaml"), "name: data\nurl: http://127.0.0.1:2/\n")
	eventually(t, "the change", func() bool { return w.names() == "crm data" })
	close(stop)
	<-done
}

func TestAGuardsSettingsAreCopied(t *testing.T) {
	c, err := config.Parse("c.yaml", []byte(base+"guards: {quota: {per_hour: 5}, envelope: {mode: shadow}}\n"), options())
	if err != nil {
		t.Fatal(err)
	}
	var q quotaConfig
	if err := c.Guards["quota"].Decode(&q); err != nil || q.PerHour != 5 || q.Window != time.Hour {
		t.Errorf("decoded %+v (%v)", q, err)
	}
	q.PerHour = 7
	if c.Guards["quota"].Config.(*quotaConfig).PerHour != 5 {
		t.Error("a copy changed the configuration")
	}
	if err := c.Guards["quota"].Decode(&envelopeConfig{}); err == nil {
		t.Error("one guard's settings are decoded as another's")
	}
	if g := c.Guards["envelope"]; g.Mode != "shadow" || g.OnError != "deny" || g.Timeout != time.Second {
		t.Errorf("envelope is %+v", g)
	}
}
