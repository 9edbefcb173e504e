package transcripts

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/binding"
	"github.com/sallyport/sallyport/integration/testenv"
	"github.com/sallyport/sallyport/internal/sealed"
)

// audience is of a token that is good for the server of the transcripts.
const audience = "https://mcp.example.com/mcp/one"

// fill writes tokens where a request names them.
func fill(t *testing.T, who *testenv.Issuer, value string) string {
	t.Helper()
	down := map[string]any{"iss": "http://127.0.0.1:9"}
	for name, mint := range map[string]func() string{
		"$GOOD":         func() string { return who.Token(t, audience, time.Hour, nil) },
		"$EXPIRED":      func() string { return who.Token(t, audience, -time.Hour, nil) },
		"$OTHER_SERVER": func() string { return who.Token(t, audience+"s", time.Hour, nil) },
		"$FORGED":       func() string { return who.Forge(t, audience, time.Hour) },
		"$SHORT_LIVED":  func() string { return who.Token(t, audience, 3*time.Second, nil) },
		"$EVERLASTING":  func() string { return who.Token(t, audience, 100*365*24*time.Hour, nil) },
		"$EVES":         func() string { return who.Token(t, audience, time.Hour, map[string]any{"sub": "eve"}) },
		"$FRESH": func() string { // a later token of the one whose $GOOD is
			return who.Token(t, audience, 2*time.Hour, map[string]any{"jti": "2", "scope": "mcp more", "roles": []string{"admin"}})
		},
		"$ORPHAN": func() string { return who.Token(t, audience, time.Hour, down) }, // of an issuer that is down
		"$PLANNER": func() string {
			return who.Token(t, audience, time.Hour, map[string]any{"sub": "planner", "task": "t-7"})
		},
		"$CRITIC": func() string {
			return who.Token(t, audience, time.Hour, map[string]any{"sub": "critic", "task": "t-7"})
		},
	} {
		if strings.Contains(value, name) {
			value = strings.ReplaceAll(value, name, mint())
		}
	}
	for text, name := range anas(who) {
		value = strings.ReplaceAll(value, name, text)
	}
	return value
}

// Keys that bind ids to callers: the gateway's, and one that it has no more.
const bindingKey, retiredKey = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"

// anas are the ids that were made for the one whose $GOOD is, each with its name
// in transcripts. The server calls them s-1, e-1 and t-1.
func anas(who *testenv.Issuer) map[string]string {
	out := make(map[string]string)
	for _, k := range []struct{ secret, prefix string }{{bindingKey, "$ANAS_"}, {retiredKey, "$RETIRED_"}} {
		keys, err := sealed.New([]string{k.secret})
		if err != nil {
			panic(err)
		}
		x := &guard.Exchange{Server: guard.Server{Name: "one"}, Principal: guard.Principal{Issuer: who.URL, Subject: "ana", Client: "desk"}}
		for kind, name := range map[binding.Kind]string{binding.Session: "SESSION", binding.Event: "EVENT", binding.Task: "TASK"} {
			text, _ := sealed.Binder{Keys: keys}.Seal(kind, x, strings.ToLower(name[:1])+"-1")
			out[text] = k.prefix + name
		}
	}
	return out
}

// named writes names in the place of sealed ids.
func named(who *testenv.Issuer, text string) string {
	for id, name := range anas(who) {
		text = strings.ReplaceAll(text, id, name)
	}
	return text
}
