package config_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/config"
)

func schema(t testing.TB, o config.Options) *jsonschema.Schema {
	t.Helper()
	b, err := config.Schema(o)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(config.SchemaID, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(config.SchemaID)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func valid(t testing.TB, s *jsonschema.Schema, text string) error {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return s.Validate(v)
}

const base = "gateway:\n  authentication: {method: none}\n  authorization: {policy_engine: none}\n"

func TestSchemaAndLoaderAgree(t *testing.T) {
	s := schema(t, options())
	t.Chdir(t.TempDir())
	write(t, "servers.d/empty.txt", "")
	for _, c := range []struct {
		text string
		good bool
	}{
		{"", true},
		{"zzz: 1", false},
		{"listeners: [{address: 127.0.0.1:8080}]", true},
		{`listeners: [{address: "[::1]:0"}]`, true},
		{"listeners: []", false},
		{"listeners: [{}]", false},
		{"listeners: [{address: localhost:8080}]", false},
		{"listeners: [{address: 127.0.0.1:8080, port: 1}]", false},
		{"listeners: {address: 127.0.0.1:8080}", false},
		{"servers: []", true},
		{"servers: [{name: crm, url: http://h/}]", true},
		{"servers: [{name: crm, url: 'http://h:1/mcp', protocol_revisions: ['2025-11-25'], data_classification: public}]", true},
		{"servers: [{url: http://h/}]", false},
		{"servers: [{name: Crm, url: http://h/}]", false},
		{"servers: [{name: 7, url: http://h/}]", false},
		{"servers: [{name: crm, url: ftp://h/}]", false},
		{"servers: [{name: crm, url: http://u@h/}]", false},
		{"servers: [{name: crm, url: 'http://h/?q'}]", false},
		{"servers: [{name: crm, url: http://h/, data_classification: secret}]", false},
		{"servers: [{name: crm, url: http://h/, protocol_revisions: ['2024-11-05']}]", false},
		{"servers: [{name: crm, url: http://h/, connect_timeout: 5}]", false},
		{"servers: [{name: crm, url: http://h/, connect_timeout: 5 seconds, health_check: {disabled: true}}]", true},
		{"servers: [{name: crm, url: http://h/, limits: {max_requests: 0}}]", false},
		{"servers: [{name: crm, versions: [{name: v1.2, weight: 1, url: http://h/}]}]", true},
		{"servers: [{name: crm, versions: [{name: v1, weight: -1, url: http://h/}]}]", false},
		{"servers: [{name: crm, versions: []}]", false},
		{"registry: {directory: servers.d}", true},
		{"registry: {directory: 7}", false},
		{"extproc: {address: 127.0.0.1:0}", true},
		{"extproc: {address: 9001}", false},
		{"envoy: {concurrency: 4, max_heap: 2GiB, access_log: stdout}", true},
		{"envoy: {concurrency: -1}", false},
		{"envoy: {concurrency: 1.5}", false},
		{"envoy: {max_heap: 2147483648}", false},
		{"limits: {body: 512KiB, depth: 32, judge_time: 1500ms}", true},
		{"limits: {depth: 2}", false},
		{"limits: {depth: 10000}", false},
		{"limits: {judge_time: 2}", false},
		{"mcp: {extra_methods: [acme/search], any_names: true, revisions: ['2026-07-28']}", true},
		{"mcp: {extra_methods: ['a b']}", false},
		{"mcp: {any_names: 'yes'}", false},
		{"receipts: {path: stdout, when_full: drop_and_count, queue: 10}", true},
		{"receipts: {when_full: drop}", false},
		{"receipts: {directory: r, sign_with: \"file:/k.pem\", publish: p.jsonl, segment_size: 1MiB, segment_time: 1h, checkpoint_every: 1s, digest_up_to: 0B}", true},
		{"receipts: {queue: 0}", false},
		{"receipts: {directory: r, sign_with: \"file:/k.pem\"}\nsinks: [{name: a, file: {path: a.jsonl}, only: {actions: [deny], severity: low}, mask: {remove: [detail]}}, {name: b, send: [checkpoints], webhook: {url: 'https://h/x', sign_with: 'env:S'}}]", true},
		{"sinks: [{name: a, webhook: {}}]", false},
		{"sinks: [{name: a, file: {path: a.jsonl}, only: {actions: [never]}}]", false},
		{"log: {level: debug, format: json}", true},
		{"log: {level: loud}", false},
		{"log: ~", false},
		{"guards: {}", true},
		{"guards: {envelope: {mode: shadow, on_error: allow, timeout: 500ms, allowed_hosts: [h]}}", true},
		{"guards: {quota: {per_hour: 5, window: hourly}}", true},
		{"guards: {quota: {per_hour: 0}}", false},
		{"guards: {envelope: {mode: loud}}", false},
		{"guards: {envelope: {per_hour: 5}}", false},
		{"guards: {other: {}}", false},
		{"cost_controls: {}", true},
		{"cost_controls: {monitoring: {real_time_tracking: true}}", false},
		{"identity_framework: {token_lifetime: 5-15 minutes}", false},
		{"autonomy_controls: {sandbox_budgets: {max_tool_calls: '100'}}", false},
		{"telemetry_configuration: {traces: {ai_spans: [token_usage]}}", false},
	} {
		text := base + c.text + "\n"
		_, loaded := config.Parse("c.yaml", []byte(text), options())
		shown := valid(t, s, text)
		if (loaded == nil) != c.good || (shown == nil) != c.good {
			t.Errorf("%s: want good=%v\nloader: %v\nschema: %v", c.text, c.good, loaded, shown)
		}
	}
}

func TestTheSchemaDemandsWhatMustBeSaidOutLoud(t *testing.T) {
	s := schema(t, options())
	for _, text := range []string{
		"{}", "gateway: {}", "gateway: {authentication: {method: none}}", "gateway: {authentication: {}, authorization: {}}",
		"gateway: {authentication: {method: JWT}, authorization: {policy_engine: none}}",
	} {
		if valid(t, s, text) == nil {
			t.Errorf("%s is valid", text)
		}
	}
}

func TestTheSchemaOpensWithTheCapabilities(t *testing.T) {
	text := string(guide(t))
	if valid(t, schema(t, options()), text) == nil {
		t.Error("the guide's blocks are valid although nothing enforces them")
	}
	o := options()
	o.Available = config.Capabilities{"gateway", "identity_framework", "secrets_management", "autonomy_controls", "policy_framework", "telemetry_configuration", "cost_controls"}
	if err := valid(t, schema(t, o), text); err != nil {
		t.Errorf("the guide's blocks are not valid although everything is enforced: %v", err)
	}
	o.Available = config.Capabilities{"gateway.authentication.method=JWT", "gateway.authorization.policy_engine=none", "telemetry_configuration.traces.ai_spans=token_usage"}
	for text, good := range map[string]bool{
		"gateway: {authentication: {method: JWT}, authorization: {policy_engine: none}}":                                                                                                                                        true,
		"gateway: {authentication: {method: none}, authorization: {policy_engine: none}}":                                                                                                                                       false,
		"gateway: {authentication: {method: JWT}, authorization: {policy_engine: none}}\ntelemetry_configuration: {traces: {ai_spans: [token_usage]}}\ntelemetry: {otlp: {endpoint: \"http://127.0.0.1:4317\"}}":                true,
		"gateway: {authentication: {method: JWT}, authorization: {policy_engine: none}}\ntelemetry_configuration: {traces: {ai_spans: [token_usage, tool_metadata]}}\ntelemetry: {otlp: {endpoint: \"http://127.0.0.1:4317\"}}": false,
	} {
		err := valid(t, schema(t, o), text)
		_, loaded := config.Parse("c.yaml", []byte(text), o)
		if (err == nil) != good || (loaded == nil) != good {
			t.Errorf("%s: want good=%v\nloader: %v\nschema: %v", text, good, loaded, err)
		}
	}
}

// Whatever the loader takes, an editor must not mark as wrong; and it should
// see most of what the loader refuses.
func TestTheSchemaFollowsTheLoaderOnEveryExample(t *testing.T) {
	beyond := map[string]bool{ // rules between settings, about files, or about the text of the file
		"addresses": true, "tls": true, "directory": true, "receipts": true, "receipts-plain": true, "sinks-plain": true, "no-directory": true, "guard-check": true,
		"yaml": true, "syntax": true, "documents": true, "empty": true,
	}
	s := schema(t, options())
	files, err := filepath.Glob("testdata/errors/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if beyond[name] {
			continue
		}
		good := len(a.Files[len(a.Files)-1].Data) == 0
		if err := valid(t, s, string(a.Files[0].Data)); (err == nil) != good {
			t.Errorf("%s: want good=%v, schema says %v", name, good, err)
		}
	}
}

const referenceHead = `# Configuration

Every setting of ` + "`sallyport.yaml`" + ` but those of single guards, which are in [guards.md](guards.md). Generated from the schema that the loader itself uses (` + "`go test ./internal/config -update`" + `). ` + "`sallyport validate FILE`" + ` checks a file and says everything that is wrong, each with file, line and column.

The file is strict YAML: one document, no unknown or repeated keys, no anchors, aliases, merge keys or tags, and no key without a value. Relative paths begin at the file they are written in. Secrets stand in no configuration file: where one is needed, the setting takes a reference, ` + "`env:NAME`" + ` or ` + "`file:/path`" + `.

The smallest configuration that runs:

` + "```yaml" + `
listeners:
  - address: 127.0.0.1:8080
gateway:
  authentication: {method: none}        # loopback listeners only
  authorization: {policy_engine: none}  # every registered tool is allowed; start-up says so out loud
servers:
  - name: everything
    url: http://127.0.0.1:39102/
` + "```" + `

The blocks ` + "`gateway`, `identity_framework`, `secrets_management`, `autonomy_controls`, `policy_framework`, `telemetry_configuration` and `cost_controls`" + ` are those of the Enterprise MCP Servers Guide, word for word. A setting that nothing in this build enforces is refused by name rather than accepted and ignored.

Files change while the gateway runs: it reads them again when they do, and on SIGHUP. A change that is wrong in any part is refused as a whole, the last good configuration serves on, and ` + "`/v1/status`" + ` and the log say why. Settings marked "a change needs a restart" are refused in the same way while the gateway runs.

`

func TestTheReferenceIsUpToDate(t *testing.T) {
	o := options()
	o.Available = app.ConfigOptions().Available
	o.Guards = map[string]config.GuardSection{ // each guard documents its own settings
		"<guard>": {Defaults: &struct{}{}},
	}
	got := referenceHead + config.Reference(o)
	const path = "../../docs/configuration.md"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is out of date; run go test ./internal/config -update", path)
	}
}
