package identity

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"

	"github.com/sallyport/sallyport/guard"
)

// maxToken bounds what is parsed for somebody unknown, in bytes.
const maxToken = 16 << 10

// verified is what a token proved, whatever server it is used at.
type verified struct {
	principal    guard.Principal
	issuer       *issuer
	audiences    []string
	refusal      string         // why it is worth nothing, as its issuer said; nothing else is set then but issuer
	introspected bool           // its issuer said so, and no key did
	keyDigest    string         // thumbprint of the key it is bound to, in base64url; empty for none
	certDigest   string         // SHA-256 of the certificate it is bound to, in hex; empty for none
	keys         *keys          // that it was verified with
	svidKeys     *jwtbundle.Set // the same, of a JWT-SVID
	until        time.Time      // of the memory of it
}

// outline is what a token says of itself, before anything is verified.
type outline struct {
	keyID, typ, issuer, subject string
}

// errNoJWT: nothing can be read in the token, which an issuer may know.
var errNoJWT = errors.New("the token is no signed JWT")

var encoding = base64.RawURLEncoding.Strict()

// read looks at a token's header and issuer. Its error is for operators.
func read(token string) (outline, error) {
	var o outline
	if len(token) > maxToken {
		return o, errors.New("the token is longer than 16 KiB")
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return o, errNoJWT
	}
	var header struct {
		KeyID string `json:"kid"`
		Type  string `json:"typ"`
	}
	var payload struct {
		Issuer  string `json:"iss"`
		Subject any    `json:"sub"` // which may be anything as long as nobody has verified it
	}
	for i, into := range []any{&header, &payload} {
		text, err := encoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(text, into) != nil {
			return o, errNoJWT
		}
	}
	o = outline{keyID: header.KeyID, typ: header.Type, issuer: payload.Issuer}
	o.subject, _ = payload.Subject.(string)
	// Other kinds of JWT, such as ID-JAGs, DPoP proofs and logout tokens, are
	// signed by the same keys and must not pass for access (RFC 8725, 3.11).
	switch strings.ToLower(strings.TrimPrefix(strings.ToLower(o.typ), "application/")) {
	case "", "jwt", "at+jwt":
		return o, nil
	case "jose": // JWT-SVIDs may say so
		if strings.HasPrefix(o.subject, schemeSPIFFE) {
			return o, nil
		}
	}
	return o, fmt.Errorf("the token is of the type %.40q and not for access", o.typ)
}

// verify judges a token with the keys that its issuer is known to have.
func (a *Authenticator) verify(i *issuer, token string) (*verified, error) {
	now := a.now()
	k := i.keys.current()
	t, err := i.verifier.Verify(context.Background(), token) // nothing of it leaves the process
	if err != nil {
		return nil, err
	}
	var c claims
	if err := t.Claims(&jsonClaims{&c}); err != nil {
		return nil, errors.New("the claims cannot be read")
	}
	// The verifier reads names without regard to case; claims are what their
	// exact names say, also where the token has another spelling beside them.
	if c.text("iss") != i.settings.URL {
		return nil, errors.New("the token is of another issuer")
	}
	v := &verified{issuer: i, audiences: c.list("aud"), keys: k}
	if v.principal, err = c.principal(&i.settings); err != nil {
		return nil, err
	}
	if err := a.checkTimes(c, &v.principal, now); err != nil {
		return nil, err
	}
	if v.certDigest, v.keyDigest, err = binding(c); err != nil {
		return nil, err
	}
	v.until = v.principal.Expires
	if limit := now.Add(a.cacheTime); v.until.After(limit) {
		v.until = limit
	}
	return v, nil
}

// jsonClaims decodes claims with their numbers as they are written.
type jsonClaims struct{ into *claims }

// UnmarshalJSON implements json.Unmarshaler.
func (j *jsonClaims) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return d.Decode(j.into)
}

// checkTimes reads when the token is good. Expiry is exact; only what lies
// ahead of our clock is given the configured skew.
func (a *Authenticator) checkTimes(c claims, p *guard.Principal, now time.Time) error {
	expires, err1 := c.date("exp")
	notBefore, err2 := c.date("nbf")
	issued, err3 := c.date("iat")
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	p.Expires, p.Issued = expires, issued
	switch ahead := now.Add(a.skew); {
	case p.AuthTime.After(ahead):
		return errors.New("the token says that its subject authenticated in the future")
	case expires.IsZero():
		return errors.New("the token has no expiry")
	case !now.Before(expires):
		return errors.New("the token has expired")
	case notBefore.After(ahead):
		return errors.New("the token is not good yet")
	case issued.After(ahead):
		return errors.New("the token was issued in the future")
	case a.lifetime <= 0:
		return nil
	case issued.IsZero():
		return errors.New("the token does not say when it was issued, and its lifetime is limited")
	case expires.Sub(issued) > a.lifetime:
		return fmt.Errorf("the token lives for %v, longer than %v", expires.Sub(issued), a.lifetime)
	}
	return nil
}

// binding returns the certificate that a token is bound to (RFC 8705, 3.1), in
// hex, and the key (RFC 9449, 6.1). A binding that cannot be checked here makes
// the token worthless here.
func binding(c claims) (certificate, key string, err error) {
	raw, ok := c["cnf"]
	if !ok {
		return "", "", nil
	}
	cnf, ok := raw.(map[string]any)
	if !ok || len(cnf) == 0 {
		return "", "", errors.New("the token is bound to something that this gateway cannot check")
	}
	for name, value := range cnf {
		thumb, _ := value.(string)
		sum, err := encoding.DecodeString(thumb)
		switch {
		case name != "x5t#S256" && name != "jkt":
			return "", "", errors.New("the token is bound to something that this gateway cannot check")
		case err != nil || len(sum) != 32:
			return "", "", errors.New("the token is bound to no thumbprint")
		case name == "jkt":
			key = thumb
		default:
			certificate = fmt.Sprintf("%x", sum)
		}
	}
	return certificate, key, nil
}
