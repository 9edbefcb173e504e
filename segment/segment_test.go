package segment_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport/sallyport/segment"
)

var (
	began = time.Unix(1_790_000_000, 0)
	ed    = edKey('a')
	ec    = ecKey()
)

func edKey(c byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(c), ed25519.SeedSize)))
}

func ecKey() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // the machine has no randomness
	}
	return k
}

const prompt = `{"description":"Sorts a ticket","messages":[{"role":"user","content":{"type":"text","text":"Sort caf\u00e9 tickets."}}],"_meta":{"trace":1}}`

var about = segment.About{Server: "crm", Method: "prompts/get", Name: "triage"}

func signed(t testing.TB, key crypto.Signer, a segment.About, raw string) json.RawMessage {
	t.Helper()
	s := segment.Signer{Server: "crm", Key: key, KeyID: "k1", Lifetime: time.Hour, Now: func() time.Time { return began }}
	e, err := s.Sign(a, json.RawMessage(raw))
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func verifier(keys ...crypto.PublicKey) *segment.Verifier {
	return &segment.Verifier{Now: func() time.Time { return began.Add(time.Minute) }, Keys: func(_ segment.About, id string) (out []segment.PublicKey) {
		for _, k := range keys {
			if p, err := segment.Public(k); err == nil && id == "k1" {
				out = append(out, p)
			}
		}
		return out
	}}
}

func TestASignatureIsGoodForWhatWasSigned(t *testing.T) {
	block := segment.About{Server: "crm", Method: "tools/call", Name: "read", Part: segment.Block}
	bound := about
	bound.Arguments = json.RawMessage(`{"b":1,"a":2}`)
	respelt := bound
	respelt.Arguments = json.RawMessage(`{ "a": 2.0, "b":1 }`)
	for name, key := range map[string]crypto.Signer{"EdDSA": ed, "ES256": ec} {
		v := verifier(key.Public())
		for _, c := range []struct {
			name          string
			signed, asked segment.About
			raw, arrived  string
		}{
			{"a prompt", about, about, prompt, prompt},
			{"another spelling of the same JSON, and another _meta", about, about, prompt,
				`{ "messages":[{"content":{"text":"Sort café tickets.","type":"text"},"role":"user"}],"description":"Sorts a ticket","resultType":"complete"}`},
			{"arguments", bound, respelt, prompt, prompt},
			{"a signature for any arguments", about, bound, prompt, prompt},
			{"a block", block, block, `{"type":"text","text":"x"}`, `{"text":"x","_meta":{"a":1},"type":"text"}`},
			{"instructions", segment.About{Server: "crm", Method: "initialize"}, segment.About{Server: "crm", Method: "initialize"}, `{"instructions":"x","serverInfo":{}}`, `{"instructions":"x"}`},
		} {
			if k, err := v.Verify(c.asked, json.RawMessage(c.arrived), signed(t, key, c.signed, c.raw)); err != nil || k.Algorithm != name {
				t.Errorf("%s, %s: %+v %v", name, c.name, k, err)
			}
		}
	}
}

func TestWhatWasNotSignedIsRefused(t *testing.T) {
	with := func(change func(a *segment.About)) segment.About {
		a := about
		change(&a)
		return a
	}
	good := string(signed(t, ed, about, prompt))
	bound := string(signed(t, ed, with(func(a *segment.About) { a.Arguments = json.RawMessage(`{"customer":1}`) }), prompt))
	var e segment.Envelope
	if err := json.Unmarshal([]byte(good), &e); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		about     segment.About
		raw       string
		envelope  string
		at        time.Duration
		want      error
		noEd, bad bool
	}{
		"altered text":                     {about: about, raw: strings.Replace(prompt, "Sort", "Delete", 1)},
		"an added message":                 {about: about, raw: strings.Replace(prompt, `}}]`, `}},{"role":"assistant","content":{"type":"text","text":"Done."}}]`, 1)},
		"another role":                     {about: about, raw: strings.Replace(prompt, `"user"`, `"assistant"`, 1)},
		"an altered description":           {about: about, raw: strings.Replace(prompt, "ticket\"", "ticket!\"", 1)},
		"another Unicode form of the text": {about: about, raw: strings.Replace(prompt, `caf\u00e9`, `cafe\u0301`, 1)},
		"an invisible letter more":         {about: about, raw: strings.Replace(prompt, "Sort", "So\u200brt", 1)},
		"moved to another server":          {about: with(func(a *segment.About) { a.Server = "erp" }), raw: prompt},
		"under another prompt's name":      {about: with(func(a *segment.About) { a.Name = "close" }), raw: prompt},
		"as another method's result":       {about: with(func(a *segment.About) { a.Method = "sampling/createMessage" }), raw: prompt},
		"as a block":                       {about: with(func(a *segment.About) { a.Part = segment.Block }), raw: prompt},
		"for other arguments":              {about: with(func(a *segment.About) { a.Arguments = json.RawMessage(`{"customer":2}`) }), raw: prompt, envelope: bound},
		"for arguments that are gone":      {about: about, raw: prompt, envelope: bound},
		"an expired one":                   {about: about, raw: prompt, at: 2 * time.Hour, want: segment.ErrExpired},
		"one of the future":                {about: about, raw: prompt, at: -time.Hour, want: segment.ErrExpired},
		"a later expiry":                   {about: about, raw: prompt, envelope: strings.Replace(good, "1790003600", "1790007200", 1), at: 90 * time.Minute},
		"an earlier issue":                 {about: about, raw: prompt, envelope: strings.Replace(good, "1790000000", "1789990000", 1)},
		"another key under the same id":    {about: about, raw: prompt, envelope: string(signed(t, edKey('b'), about, prompt))},
		"a member that is not signed":      {about: about, raw: prompt, envelope: strings.Replace(good, "{", `{"note":"verified",`, 1), want: segment.ErrMalformed},
		"a member twice":                   {about: about, raw: prompt, envelope: strings.Replace(good, "{", `{"expires":1790009999,`, 1), want: segment.ErrMalformed},
		"another spelling of a member":     {about: about, raw: prompt, envelope: strings.Replace(good, `"expires"`, `"Expires"`, 1), want: segment.ErrMalformed},
		"no envelope":                      {about: about, raw: prompt, envelope: `"verified"`, want: segment.ErrMalformed},
		"an endless envelope":              {about: about, raw: prompt, envelope: `{"jws":"` + strings.Repeat("a", 5000) + `"}`, want: segment.ErrMalformed},
		"a signature with a payload":       {about: about, raw: prompt, envelope: strings.Replace(good, "..", ".e30.", 1), want: segment.ErrMalformed},
		"a signature that is cut":          {about: about, raw: prompt, envelope: good[:len(good)-4] + `"}`, want: segment.ErrMalformed},
		"alg none":                         {about: about, raw: prompt, envelope: forge(t, e, `{"alg":"none","b64":false,"crit":["b64"],"kid":"k1","typ":"sallyport-segment"}`, nil), want: segment.ErrMalformed},
		"alg confusion: the public key in HMAC": {about: about, raw: prompt, envelope: forge(t, e, `{"alg":"HS256","b64":false,"crit":["b64"],"kid":"k1","typ":"sallyport-segment"}`,
			func(text []byte) []byte {
				m := hmac.New(sha256.New, ed.Public().(ed25519.PublicKey))
				m.Write(text)
				return m.Sum(nil)
			}), want: segment.ErrMalformed},
		"alg confusion: the other algorithm": {about: about, raw: prompt, envelope: forge(t, e, `{"alg":"ES256","b64":false,"crit":["b64"],"kid":"k1","typ":"sallyport-segment"}`, func(text []byte) []byte { return ed25519.Sign(ed, text) })},
		"a key that the header brings along": {about: about, raw: prompt, envelope: forge(t, e, `{"alg":"EdDSA","b64":false,"crit":["b64"],"jwk":{},"kid":"k1","typ":"sallyport-segment"}`, func(text []byte) []byte { return ed25519.Sign(edKey('b'), text) }), want: segment.ErrMalformed},
		"an encoded payload":                 {about: about, raw: prompt, envelope: forge(t, e, `{"alg":"EdDSA","kid":"k1","typ":"sallyport-segment"}`, func(text []byte) []byte { return ed25519.Sign(ed, text) }), want: segment.ErrMalformed},
		"a token of another kind":            {about: about, raw: prompt, envelope: forge(t, e, `{"alg":"EdDSA","b64":false,"crit":["b64"],"kid":"k1","typ":"JWT"}`, func(text []byte) []byte { return ed25519.Sign(ed, text) }), want: segment.ErrMalformed},
		"no key id":                          {about: about, raw: prompt, envelope: forge(t, e, `{"alg":"EdDSA","b64":false,"crit":["b64"],"typ":"sallyport-segment"}`, func(text []byte) []byte { return ed25519.Sign(ed, text) }), want: segment.ErrMalformed},
		"alg twice":                          {about: about, raw: prompt, envelope: forge(t, e, `{"alg":"none","alg":"EdDSA","b64":false,"crit":["b64"],"kid":"k1","typ":"sallyport-segment"}`, func(text []byte) []byte { return ed25519.Sign(ed, text) }), want: segment.ErrMalformed},
		"an unknown key":                     {about: about, raw: prompt, envelope: forge(t, e, `{"alg":"EdDSA","b64":false,"crit":["b64"],"kid":"k2","typ":"sallyport-segment"}`, func(text []byte) []byte { return ed25519.Sign(ed, text) }), want: segment.ErrUnknownKey},
	} {
		v := verifier(ed.Public(), ec.Public())
		v.Now = func() time.Time { return began.Add(time.Minute + c.at) }
		if c.envelope == "" {
			c.envelope = good
		}
		if c.want == nil {
			c.want = segment.ErrSignature
		}
		if k, err := v.Verify(c.about, json.RawMessage(c.raw), json.RawMessage(c.envelope)); !errors.Is(err, c.want) || k != nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	v := verifier(ed.Public())
	v.Lifetime = 30 * time.Minute
	if _, err := v.Verify(about, json.RawMessage(prompt), json.RawMessage(good)); !errors.Is(err, segment.ErrExpired) {
		t.Errorf("a longer lifetime than allowed: %v", err)
	}
	if _, err := new(segment.Verifier).Verify(about, json.RawMessage(prompt), json.RawMessage(good)); err == nil {
		t.Error("the zero verifier accepts")
	}
}

// payloadOf is what about, prompt and e come to, written down by hand as the
// documentation has it.
func payloadOf(e segment.Envelope) []byte {
	issued, _ := json.Marshal(e.Issued)
	expires, _ := json.Marshal(e.Expires)
	return []byte(`{"content":{"description":"Sorts a ticket","messages":[{"content":{"text":"Sort café tickets.","type":"text"},"role":"user"}]},"expires":` + string(expires) +
		`,"issued":` + string(issued) + `,"method":"prompts/get","name":"triage","part":"whole","server":"crm"}`)
}

func forge(t testing.TB, e segment.Envelope, header string, sign func([]byte) []byte) string {
	t.Helper()
	protected := base64.RawURLEncoding.EncodeToString([]byte(header))
	e.JWS = protected + ".."
	if sign != nil {
		e.JWS += base64.RawURLEncoding.EncodeToString(sign(append([]byte(protected+"."), payloadOf(e)...)))
	}
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What others' libraries sign is accepted, and what we sign they accept.
func TestOtherImplementationsOfJWSAgree(t *testing.T) {
	for name, key := range map[string]crypto.Signer{"EdDSA": ed, "ES256": ec} {
		alg := jose.SignatureAlgorithm(name)
		var e segment.Envelope
		if err := json.Unmarshal(signed(t, key, about, prompt), &e); err != nil {
			t.Fatal(err)
		}
		parsed, err := jose.ParseDetached(e.JWS, payloadOf(e), []jose.SignatureAlgorithm{alg})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := parsed.DetachedVerify(payloadOf(e), key.Public()); err != nil {
			t.Errorf("%s: theirs refuses ours: %v", name, err)
		}
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithBase64(false).WithHeader("kid", "k1").WithType("sallyport-segment"))
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := signer.Sign(payloadOf(e))
		if err != nil {
			t.Fatal(err)
		}
		if e.JWS, err = theirs.DetachedCompactSerialize(); err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := verifier(key.Public()).Verify(about, json.RawMessage(prompt), b); err != nil {
			t.Errorf("%s: ours refuses theirs: %v", name, err)
		}
	}
}

func TestKeysAreReadAsTheirOwnersMeanThem(t *testing.T) {
	one, err := segment.Public(ed.Public())
	if err != nil {
		t.Fatal(err)
	}
	two, err := segment.Public(ec.Public())
	if err != nil {
		t.Fatal(err)
	}
	set, err := segment.MarshalKeys(one, two)
	if err != nil {
		t.Fatal(err)
	}
	var theirs jose.JSONWebKeySet
	if err := json.Unmarshal(set, &theirs); err != nil || len(theirs.Keys) != 2 || !theirs.Keys[0].Valid() || !theirs.Keys[1].Valid() {
		t.Fatalf("others cannot read %s: %v", set, err)
	}
	sum, err := theirs.Keys[1].Thumbprint(crypto.SHA256)
	if err != nil || base64.RawURLEncoding.EncodeToString(sum) != two.ID {
		t.Errorf("thumbprint %s, theirs %x", two.ID, sum)
	}
	again, err := segment.ParseKeys(set)
	if err != nil || len(again) != 2 || again[0].ID != one.ID || again[1].Algorithm != segment.ES256 {
		t.Errorf("%+v %v", again, err)
	}
	der, err := x509.MarshalPKIXPublicKey(ec.Public())
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(ed)
	if err != nil {
		t.Fatal(err)
	}
	if keys, err := segment.ParseKeys(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})); err != nil || keys[0].ID != two.ID {
		t.Errorf("PEM: %+v %v", keys, err)
	}
	x := base64.RawURLEncoding.EncodeToString(ed.Public().(ed25519.PublicKey))
	for name, text := range map[string]string{
		"nothing":                   ``,
		"a private key":             string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
		"a private JWK":             `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"` + x + `","d":"` + x + `"}]}`,
		"a symmetric key":           `{"keys":[{"kty":"oct","k":"AAAA"}]}`,
		"a key for encryption":      `{"keys":[{"kty":"OKP","crv":"Ed25519","use":"enc","x":"` + x + `"}]}`,
		"a key of another alg":      `{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"HS256","x":"` + x + `"}]}`,
		"a point off the curve":     `{"keys":[{"kty":"EC","crv":"P-256","x":"` + x + `","y":"` + x + `"}]}`,
		"a short key":               `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AAAA"}]}`,
		"keys without end":          `{"keys":[` + strings.Repeat(`{"kty":"OKP","crv":"Ed25519","x":"`+x+`"},`, 70) + `{}]}`,
		"a certificate of nobody's": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
	} {
		if keys, err := segment.ParseKeys([]byte(text)); err == nil {
			t.Errorf("%s: %+v", name, keys)
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add([]byte(prompt), []byte(signed(f, ed, about, prompt)))
	f.Add([]byte(`{"messages":[]}`), []byte(`{"jws":".."}`))
	v := verifier(ed.Public(), ec.Public())
	good := string(signed(f, ed, about, prompt))
	content, err := segment.Digest(about, json.RawMessage(prompt))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw, envelope []byte) {
		if _, err := v.Verify(about, raw, envelope); err == nil {
			if got, err := segment.Digest(about, raw); err != nil || got != content {
				t.Errorf("verified: %s with %s", raw, envelope)
			}
		}
		if _, err := v.Verify(about, raw, json.RawMessage(good)); err == nil {
			if got, err := segment.Digest(about, raw); err != nil || got != content {
				t.Errorf("verified: %s", raw)
			}
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	for name, key := range map[string]crypto.Signer{"EdDSA": ed, "ES256": ec} {
		b.Run(name, func(b *testing.B) {
			v, e := verifier(key.Public()), signed(b, key, about, prompt)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(about, json.RawMessage(prompt), e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
