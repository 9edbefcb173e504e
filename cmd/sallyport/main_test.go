package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/integration/testenv"
)

var update = flag.Bool("update", false, "rewrite testdata/help.golden")

const good = `listeners: [{address: "127.0.0.1:8080"}]
gateway: {authentication: {method: none}, authorization: {policy_engine: none}}
servers: [{name: crm, url: "http://127.0.0.1:39101/"}]
`

// say runs a command line as main does.
func say(args ...string) (code int, stdout, stderr string) {
	var out, words bytes.Buffer
	code = run(context.Background(), args, &out, &words)
	return code, out.String(), words.String()
}

func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Help is data: it goes to stdout and is good for exit code 0.
func TestHelpOfEveryCommand(t *testing.T) {
	var all strings.Builder
	for _, cmd := range [][]string{{}, {"run"}, {"serve"}, {"validate"}, {"explain"}, {"policy"}, {"policy", "test"}, {"policy", "build"}, {"policy", "sign"}, {"policy", "verify"}, {"policy", "diff"}, {"envoy"}, {"envoy", "bootstrap"}, {"version"}} {
		code, out, words := say(append(cmd, "--help")...)
		if code != 0 || words != "" {
			t.Errorf("%v --help: %d, stderr %q", cmd, code, words)
		}
		if len(cmd) == 0 {
			continue // it lists the commands, and new ones are no surprise
		}
		all.WriteString("$ sallyport " + strings.Join(append(cmd, "--help"), " ") + "\n" + out + "\n")
	}
	const path = "testdata/help.golden"
	if *update {
		if err := os.WriteFile(path, []byte(all.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || string(want) != all.String() {
		t.Errorf("help differs from %s (%v); run with -update and read the difference\n%s", path, err, all.String())
	}
}

func TestExitCodesAndWhereWordsGo(t *testing.T) {
	ok, wrong := write(t, "ok.yaml", good), write(t, "wrong.yaml", strings.Replace(good, "servers", "severs", 1))
	call := write(t, "call.json", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"find"}}`)
	answer := write(t, "answer.json", `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"card 4111 1111 1111 1111"}]}}`)
	twice := write(t, "twice.json", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"find","name":"delete"}}`)
	for _, c := range []struct {
		name        string
		args        []string
		code        int
		out, stderr string // parts; "" means that nothing is written there
	}{
		{"a good configuration", []string{"validate", ok}, 0, "good", ""},
		{"a bad one", []string{"validate", wrong}, 1, "", `did you mean "servers"`},
		{"a bad one for machines", []string{"validate", "--json", wrong}, 1, `"valid":false`, ""},
		{"a good one for machines", []string{"validate", "--json", ok}, 0, `{"valid":true,"errors":[]}`, ""},
		{"one that is missing", []string{"validate", ok + ".no"}, 1, "", "cannot be read"},
		{"a call that may pass", []string{"explain", "-c", ok, "--server", "crm", call}, 0, `"action": "allow"`, ""},
		{"a call that may not", []string{"explain", "-c", ok, "--server", "crm", twice}, 1, `"action": "deny"`, ""},
		{"a call to nobody", []string{"explain", "-c", ok, "--server", "erp", call}, 1, `"reason": "unknown_server"`, ""},
		{"a call and its answer", []string{"explain", "-c", ok, "--server", "crm", "--reply", answer, call}, 0, "CREDIT_CARD /result/content/0/text 19 bytes", ""},
		{"an answer that is none", []string{"explain", "-c", ok, "--server", "crm", "--reply", twice, call}, 1, `"reason": "upstream_bad_reply"`, ""},
		{"a call that is missing", []string{"explain", "-c", ok, "--server", "crm", call + ".no"}, 1, "", "no such file"},
		{"a detector that there is not", []string{"inspect", "--detector", "pi"}, 2, "", "is none of pii, secrets"},
		{"version", []string{"version"}, 0, "sallyport ", ""},
		{"a configuration without -c", []string{"serve", ok}, 2, "", "is an argument, and none belongs there; write: sallyport serve -c FILE"},
		{"two configurations", []string{"validate", ok, ok}, 2, "", "2 arguments are too few or too many; write: sallyport validate FILE"},
		{"a command that does not exist", []string{"vaildate", ok}, 2, "", "unknown command"},
		{"a flag that does not exist", []string{"validate", "--jsno", ok}, 2, "", "unknown flag"},
		{"an argument is missing", []string{"validate"}, 2, "", "Try 'sallyport validate --help'"},
		{"a flag is missing", []string{"explain", "-c", ok, call}, 2, "", "required flag"},
		{"a flag without its value", []string{"run", "-c"}, 2, "", "flag needs an argument"},
		{"bootstrap of a bad configuration", []string{"envoy", "bootstrap", "-c", wrong}, 1, "", "did you mean"},
		{"an unknown subcommand of envoy", []string{"envoy", "bootstarp"}, 2, "", "bootstarp"},
		{"an unknown subcommand of policy", []string{"policy", "tset"}, 2, "", "tset"},
		{"an unknown subcommand of revoke", []string{"revoke", "ana"}, 2, "", "ana"},
		{"a change to no budget", []string{"usage", "grant", "-c", ok}, 2, "", "required flag"},
		{"a replay from no time", []string{"audit", "sinks", "replay", "soc", "-c", ok}, 2, "", "required flag"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, words := say(c.args...)
			if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(words, c.stderr) ||
				(out == "") != (c.out == "") || (words == "") != (c.stderr == "") {
				t.Errorf("exit %d\nstdout %s\nstderr %s", code, out, words)
			}
		})
	}
}

func TestValidateListsEveryProblemForMachines(t *testing.T) {
	path := write(t, "wrong.yaml", strings.Replace(good, "servers", "severs", 1)+"limts: {}\n")
	_, out, _ := say("validate", "--json", path)
	var got struct {
		Valid  bool
		Errors []string
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || got.Valid || len(got.Errors) != 2 || !strings.HasPrefix(got.Errors[0], path+":3:1: ") {
		t.Errorf("%v in %s", err, out)
	}
}

func TestARealEnvoyTakesTheBootstrap(t *testing.T) {
	envoy := testenv.Envoy(t)
	code, out, words := say("envoy", "bootstrap", "-c", write(t, "ok.yaml", good))
	if code != 0 || words != "" {
		t.Fatalf("exit %d: %s", code, words)
	}
	b, err := exec.Command(envoy, "--mode", "validate", "-c", write(t, "envoy.yaml", out)).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s\n%s", err, b, out)
	}
}
