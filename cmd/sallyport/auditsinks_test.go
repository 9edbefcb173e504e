package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestSinksAreSteeredForPeopleAndForMachines(t *testing.T) {
	var asked []string
	const reply = `{"sink":{"name":"soc","kind":"webhook","state":"paused"},"first":7}` + "\n"
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		asked = append(asked, r.Method+" "+r.URL.Path+" "+string(b))
		if strings.Contains(string(b), `"sink":"none"`) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"error":"there is no sink none"}`)
			return
		}
		_, _ = io.WriteString(w, reply)
	}))
	t.Cleanup(s.Close)
	for _, c := range []struct {
		args       string
		code       int
		out, words string
	}{
		{"pause soc --because upgrade", 0, "soc: paused\n", ""},
		{"pause soc --json", 0, reply, ""},
		{"resume soc --json", 0, reply, ""},
		{"replay soc --from 2026-11-01T00:00:00Z", 0, "soc: from receipt 7 on\n", ""},
		{"replay soc --from 2026-11-01T00:00:00Z --json --admin URL", 0, reply + reply, ""}, // two gateways
		{"pause none --json", 1, "", "there is no sink none"},
	} {
		code, out, words := say(strings.Fields(strings.ReplaceAll("audit sinks "+c.args+" --admin URL", "URL", s.URL))...)
		if code != c.code || out != c.out || !strings.Contains(words, c.words) || (words == "") != (c.words == "") {
			t.Errorf("%s: exit %d, %s%s", c.args, code, out, words)
		}
	}
	if asked[0] != `POST /v1/sinks/pause {"sink":"soc","because":"upgrade"}` || asked[3] != `POST /v1/sinks/replay {"sink":"soc","from":"2026-11-01T00:00:00Z"}` {
		t.Errorf("%q", asked)
	}
}
