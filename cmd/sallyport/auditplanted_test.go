package main

import (
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Whoever can write a receipt directory puts a pipe there, to keep an auditor waiting.
func TestNoAuditCommandWaitsForAPlantedPipe(t *testing.T) {
	dir, key := t.TempDir(), filepath.Join(t.TempDir(), "sign")
	pipe := filepath.Join(dir, "segment-00000001.jsonl")
	if err := errors.Join(syscall.Mkfifo(pipe, 0o600), syscall.Mkfifo(filepath.Join(dir, "checkpoints.jsonl"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if code, _, words := say("audit", "keygen", key); code != 0 {
		t.Fatal(words)
	}
	cfg := write(t, "sallyport.yaml", good)
	for _, args := range []string{
		"verify DIR", "query DIR", "query DIR --open", "query PIPE", "tail DIR", "tail DIR -f", "tail PIPE -f", "lineage e1 DIR", "export DIR --key KEY",
		"prove DIR --seq 1", "report DIR --framework cosai -c CONFIG --allow-unverified",
		"subject find DIR --subject ana --requests NEW --sign-with file:SIGN", "subject export DIR --subject ana --requests NEW --sign-with file:SIGN",
		"subject find NEW --subject ana --requests DIR --sign-with file:SIGN",
	} {
		t.Run(args, func(t *testing.T) {
			words := strings.Fields(strings.NewReplacer("DIR", dir, "PIPE", pipe, "KEY", key+".pub", "CONFIG", cfg, "SIGN", key+".key", "NEW", t.TempDir()).Replace(args))
			code, out, stderr := say(append([]string{"audit"}, words...)...)
			if code != 1 || out != "" || !strings.Contains(stderr, "jsonl: it is no regular file") {
				t.Errorf("exit %d\nstdout %s\nstderr %s", code, out, stderr)
			}
		})
	}
}
