package transcripts

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
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
		"$ORPHAN":       func() string { return who.Token(t, audience, time.Hour, down) }, // of an issuer that is down
	} {
		if strings.Contains(value, name) {
			value = strings.ReplaceAll(value, name, mint())
		}
	}
	return value
}
