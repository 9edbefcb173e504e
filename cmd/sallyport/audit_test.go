package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAuditCommandsAnswerByTheirExitCode(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "sign")
	plain := write(t, "receipts.jsonl", `{"v":1,"time":"2026-11-01T12:00:00Z","action":"deny","reason":"too_large","server":"crm"}`+"\n")
	lives := write(t, "lives.jsonl", `{"v":1,"time":"2026-11-01T12:00:00Z","exchange":"e1","direction":"to_server","action":"allow","server":"crm"}`+"\n"+
		`{"v":1,"time":"2026-11-01T12:00:00Z","exchange":"e2","direction":"to_server","action":"allow","server":"crm"}`+"\n"+`{"v":1,"time":"2026-11-01T12:00:01Z","exchange":"e1","closed":"client_left","server":"crm"}`+"\n")
	for _, c := range []struct {
		name        string
		args        []string
		code        int
		out, stderr string // parts; "" means that nothing is written there
	}{
		{"a key is made", []string{"audit", "keygen", key, "--json"}, 0, `"pub":"` + key + `.pub"`, ""},
		{"and never replaced", []string{"audit", "keygen", key}, 1, "", "file exists"},
		{"an empty folder is no evidence", []string{"audit", "verify", dir, "--key", key + ".pub"}, 1, "NOT as it was written", "there are no checkpoints"},
		{"for machines", []string{"audit", "verify", dir, "--json"}, 1, `"ok":false`, ""},
		{"a folder that is missing", []string{"audit", "verify", dir + "/no"}, 1, "", "no such file"},
		{"a private key is none to verify by", []string{"audit", "verify", dir, "--key", key + ".key"}, 1, "", "must be PUBLIC KEY"},
		{"a folder is missing", []string{"audit", "verify"}, 2, "", "an argument is missing; write: sallyport audit verify DIR"},
		{"a proof of nothing", []string{"audit", "prove", dir}, 2, "", "at least one of the flags"},
		{"half a question", []string{"audit", "prove", dir, "--from", "1"}, 2, "", "to"},
		{"an export that believes anybody", []string{"audit", "export", dir}, 2, "", "required flag"},
		{"a time that is none", []string{"audit", "query", plain, "--since", "yesterday"}, 2, "", "write a time such as"},
		{"receipts in a plain file", []string{"audit", "query", plain, "--reason", "too_large"}, 0, `"server":"crm"`, ""},
		{"none that match", []string{"audit", "query", plain, "--reason", "denied"}, 1, "", ""},
		{"how exchanges ended", []string{"audit", "query", lives, "--closed", "client_left"}, 0, `"exchange":"e1"`, ""},
		{"those without an end", []string{"audit", "query", "--open", lives, plain}, 0, `"exchange":"e2"`, "1 exchanges have no end on record"},
		{"there are none", []string{"audit", "query", "--open", plain}, 1, "", ""},
		{"two files at a time", []string{"audit", "query", plain, lives}, 2, "", "one directory or file is read at a time"},
		{"an action that there is not is no answer of none", []string{"audit", "query", plain, "--action", "denied"}, 2, "", "is none of allow, hold, deny"},
		{"an end that there is not", []string{"audit", "tail", lives, "--closed", "client_gone"}, 2, "", "client_left, broken_off"},
		{"fewer than none", []string{"audit", "query", plain, "--limit", "-1"}, 2, "", "invalid argument"},
		{"fewer than none of the newest", []string{"audit", "tail", plain, "-n", "-1"}, 2, "", "invalid argument"},
		{"a framework that there is not", []string{"audit", "report", dir, "-c", plain, "--framework", "gdpr"}, 2, "", "is none of cosai, eu-ai-act"},
		{"sealed parts without their keys", []string{"audit", "payload", plain}, 2, "", "[config keys]"},
		{"a part that there is not", []string{"audit", "payload", plain, "--what", "body"}, 2, "", "is none of identity, arguments, params, result"},
		{"a request about nobody", []string{"audit", "subject", "find", dir, "--requests", dir, "-c", plain}, 2, "", "[subject tenant]"},
		{"a request whose receipt nobody signs", []string{"audit", "subject", "find", dir, "--requests", dir, "--subject", "ana"}, 2, "", "[config sign-with]"},
		{"an erasure without keys", []string{"audit", "subject", "erase", dir, "--requests", dir, "--subject", "ana", "--sign-with", "env:KEY"}, 2, "", "[config keys]"},
		{"the newest", []string{"audit", "tail", plain, "-n", "1"}, 0, `"deny"`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, words := say(c.args...)
			if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(words, c.stderr) ||
				(out == "") != (c.out == "") || (words == "") != (c.stderr == "") {
				t.Errorf("exit %d\nstdout %s\nstderr %s", code, out, words)
			}
		})
	}
	if info, err := os.Stat(key + ".key"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the private key: %v, %v", info.Mode(), err)
	}
}
