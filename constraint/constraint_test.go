package constraint_test

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/constraint"
)

func TestOnlyTheVerySignedRequestPasses(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	other, forged, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	body := []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"find"}}`)
	now := time.Unix(1000, 0)
	claims := constraint.Claims{Issuer: "sallyport", Server: "crm", Method: "tools/call", Name: "find", IssuedAt: 1000, Expires: 1030, Constraints: []byte(`{"max_rows":5}`)}
	sign := func(k ed25519.PrivateKey, c constraint.Claims) string {
		token, err := constraint.Sign(k, "k1", c, body)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	good := sign(private, claims)
	elsewhere := claims
	elsewhere.Server = "tickets"
	parts := strings.Split(good, ".")
	for _, c := range []struct {
		name, token string
		body        []byte
		at          time.Time
		want        string // "" for a yes
	}{
		{"the request as it was signed", good, body, now, ""},
		{"in its last second", good, body, now.Add(30 * time.Second), ""},
		{"a second too late", good, body, now.Add(31 * time.Second), "expired"},
		{"before it was made", good, body, now.Add(-time.Second), "future"},
		{"another body", good, append(body, ' '), now, "another body"},
		{"no signature, around the gateway", "", body, now, "no signature"},
		{"signed by somebody else", sign(forged, claims), body, now, "wrong signature"},
		{"for another server", sign(private, elsewhere), body, now, "another server"},
		{"algorithm none", "eyJhbGciOiJub25lIiwidHlwIjoic2FsbHlwb3J0LWNvbnN0cmFpbnQrand0In0." + parts[1] + ".", body, now, "not a constraint"},
		{"claims of another signature", parts[0] + "." + strings.Split(sign(private, elsewhere), ".")[1] + "." + parts[2], body, now, "wrong signature"},
	} {
		v := constraint.Verifier{Server: "crm", Keys: map[string]ed25519.PublicKey{"k1": public, "k2": other}, Now: func() time.Time { return c.at }}
		got, err := v.Verify(c.token, c.body)
		switch {
		case c.want == "" && (err != nil || string(got.Constraints) != `{"max_rows":5}`):
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (!errors.Is(err, constraint.ErrInvalid) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
	if _, err := new(constraint.Verifier).Verify(good, body); err == nil {
		t.Error("the zero verifier accepted")
	}
}

func ExampleVerifier() {
	public, private, _ := ed25519.GenerateKey(nil)
	body := []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"find"}}`)
	token, _ := constraint.Sign(private, "2026-11", constraint.Claims{ // the gateway does this
		Server: "crm", IssuedAt: time.Now().Unix(), Expires: time.Now().Add(30 * time.Second).Unix(), Constraints: []byte(`{"max_rows":100}`),
	}, body)

	v := constraint.Verifier{Server: "crm", Keys: map[string]ed25519.PublicKey{"2026-11": public}}
	claims, err := v.Verify(token, body)
	fmt.Println(string(claims.Constraints), err)
	// Output: {"max_rows":100} <nil>
}
