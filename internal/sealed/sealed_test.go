package sealed_test

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/binding"
	"github.com/sallyport/sallyport/internal/sealed"
)

const (
	first  = "0123456789abcdef0123456789abcdef"
	second = "fedcba9876543210fedcba9876543210"
)

func keys(t testing.TB, secrets ...string) *sealed.Keys {
	t.Helper()
	k, err := sealed.New(secrets)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func owner(change func(p *guard.Principal)) sealed.Owner {
	p := guard.Principal{Issuer: "https://id.example", Subject: "ada", Client: "desk", Tenant: "acme", Agent: "helper", Peer: "spiffe://acme.example/desk"}
	change(&p)
	return sealed.OwnerOf("crm", &p)
}

func same(*guard.Principal) {}

func TestAStolenIDIsWorthNothing(t *testing.T) {
	k, ada := keys(t, first), owner(same)
	text, ok := k.Seal(1, &ada, "session-1")
	if !ok || strings.Contains(text, "session") {
		t.Fatalf("%q, %v", text, ok)
	}
	if id, ok := k.Open(1, &ada, text); !ok || id != "session-1" {
		t.Fatalf("%q, %v", id, ok)
	}
	thieves := map[string]sealed.Owner{
		"another person":                     owner(func(p *guard.Principal) { p.Subject = "eve" }),
		"the same name at another issuer":    owner(func(p *guard.Principal) { p.Issuer = "https://id.evil" }),
		"another application of hers":        owner(func(p *guard.Principal) { p.Client = "game" }),
		"another tenant":                     owner(func(p *guard.Principal) { p.Tenant = "umbrella" }),
		"another agent that acts for her":    owner(func(p *guard.Principal) { p.Agent = "other" }),
		"another workload":                   owner(func(p *guard.Principal) { p.Peer = "spiffe://acme.example/kiosk" }),
		"names shifted between the fields":   owner(func(p *guard.Principal) { p.Subject, p.Client = "adad", "esk" }),
		"nobody":                             sealed.OwnerOf("crm", &guard.Principal{}),
		"herself at another server":          sealed.OwnerOf("data", &guard.Principal{Issuer: "https://id.example", Subject: "ada", Client: "desk", Tenant: "acme", Agent: "helper", Peer: "spiffe://acme.example/desk"}),
		"server and issuer read as one name": sealed.OwnerOf("crmhttps://id.example", &guard.Principal{Subject: "ada", Client: "desk", Tenant: "acme", Agent: "helper", Peer: "spiffe://acme.example/desk"}),
	}
	for name, thief := range thieves {
		if id, ok := k.Open(1, &thief, text); ok || id != "" {
			t.Errorf("%s opens it: %q", name, id)
		}
		if again, _ := k.Seal(1, &thief, "session-1"); again == text {
			t.Errorf("%s has the same id", name)
		}
	}
	if _, ok := k.Open(2, &ada, text); ok {
		t.Error("an id of one kind is one of another")
	}
}

// A fresh token has other times, scopes, roles and an id of its own.
func TestAFreshTokenKeepsItsOwnersIDs(t *testing.T) {
	k, before := keys(t, first), owner(same)
	text, _ := k.Seal(1, &before, "s")
	after := owner(func(p *guard.Principal) {
		p.TokenID, p.Roles, p.Scopes, p.Strength, p.Task, p.TaskType = "new", []string{"admin"}, []string{"more"}, "high", "t2", "report"
	})
	if id, ok := k.Open(1, &after, text); !ok || id != "s" {
		t.Error("a refreshed token lost the session")
	}
}

func TestKeysRotateAndReplicasAgree(t *testing.T) {
	ada := owner(same)
	old, _ := keys(t, first).Seal(1, &ada, "s")
	if id, ok := keys(t, first).Open(1, &ada, old); !ok || id != "s" {
		t.Error("a restarted replica with the same key does not know the id")
	}
	both := keys(t, second, first)
	if id, ok := both.Open(1, &ada, old); !ok || id != "s" {
		t.Error("an id of the older key is refused while the key is listed")
	}
	fresh, _ := both.Seal(1, &ada, "s")
	if fresh == old {
		t.Error("the first key does not seal")
	}
	next := keys(t, second)
	if _, ok := next.Open(1, &ada, old); ok {
		t.Error("a retired key opens")
	}
	if id, ok := next.Open(1, &ada, fresh); !ok || id != "s" {
		t.Error("an id of the newer key is lost with the older one")
	}
	if again, _ := both.Seal(1, &ada, "s"); again != fresh {
		t.Error("one id has two names")
	}
}

func TestEveryOtherTextIsUnknown(t *testing.T) {
	k, ada := keys(t, first, second), owner(same)
	text, _ := k.Seal(1, &ada, "session-1")
	raw, _ := base64.RawURLEncoding.DecodeString(text)
	var forged []string
	for i := range raw {
		for _, bit := range []byte{1, 0x80} {
			one := slices.Clone(raw)
			one[i] ^= bit
			forged = append(forged, base64.RawURLEncoding.EncodeToString(one))
		}
	}
	for i := range raw {
		forged = append(forged, base64.RawURLEncoding.EncodeToString(raw[:i]))
	}
	forged = append(forged, "", "session-1", text+"A", text+"=", text+"\n", " "+text, text[1:], strings.ToUpper(text), strings.Repeat("A", 1<<20),
		base64.RawURLEncoding.EncodeToString(append(slices.Clone(raw), 0)), base64.StdEncoding.EncodeToString(raw)+"=")
	for _, one := range forged {
		if id, ok := k.Open(1, &ada, one); ok {
			t.Errorf("%.100q opens as %q", one, id)
		}
	}
}

func TestSizesAreBounded(t *testing.T) {
	k, ada := keys(t, first), owner(same)
	long := strings.Repeat("x", 1024)
	text, ok := k.Seal(1, &ada, long)
	if id, opens := k.Open(1, &ada, text); !ok || !opens || id != long || len(text) > 1400 {
		t.Errorf("%d characters, %v, %v", len(text), ok, opens)
	}
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			t.Fatalf("%q cannot stand in a header and in JSON", text)
		}
	}
	for _, id := range []string{"", long + "x"} {
		if text, ok := k.Seal(1, &ada, id); ok {
			t.Errorf("%d bytes become %q", len(id), text)
		}
	}
}

func TestKeysThatProtectNothingAreRefused(t *testing.T) {
	for name, secrets := range map[string][]string{
		"none":         nil,
		"a short one":  {first[:31]},
		"one of two":   {first, "changeme"},
		"one twice":    {first, first},
		"nine of them": strings.Split(strings.Repeat(first+",", 9)+first, ","),
	} {
		if _, err := sealed.New(secrets); err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), first) || strings.Contains(err.Error(), "changeme") {
			t.Errorf("%s: the error tells the secret: %v", name, err)
		}
	}
}

func TestAnExchangeHasOneOwner(t *testing.T) {
	b := sealed.Binder{Keys: keys(t, first)}
	ada := &guard.Exchange{Server: guard.Server{Name: "crm"}, Principal: guard.Principal{Subject: "ada"}}
	text, _ := b.Seal(binding.Session, ada, "s")
	for range 2 { // from the slot, too
		if id, ok := b.Open(binding.Session, ada, text); !ok || id != "s" {
			t.Error("its own session is unknown")
		}
	}
	eve := &guard.Exchange{Server: guard.Server{Name: "crm"}, Principal: guard.Principal{Subject: "eve"}}
	if _, ok := b.Open(binding.Session, eve, text); ok {
		t.Error("the next exchange took over the last one's owner")
	}
	if _, ok := b.Open(binding.Task, ada, text); ok {
		t.Error("a session is a task")
	}
}

func FuzzOpen(f *testing.F) {
	k, ada, eve := keys(f, first, second), owner(same), owner(func(p *guard.Principal) { p.Subject = "eve" })
	text, _ := k.Seal(1, &eve, "hers")
	f.Add(text)
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		if id, ok := k.Open(1, &ada, s); ok {
			t.Fatalf("%q opens as %q", s, id)
		}
		if again, ok := k.Seal(1, &ada, s); ok {
			if id, ok := k.Open(1, &ada, again); !ok || id != s {
				t.Fatalf("%q comes back as %q", s, id)
			}
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	k, ada := keys(b, first), owner(same)
	b.ReportAllocs()
	for b.Loop() {
		k.Seal(1, &ada, "3f2b8e0c-6a1d-4c58-9b7e-0d4f5a6b7c8d")
	}
}

func BenchmarkOpen(b *testing.B) {
	k, ada := keys(b, second, first), owner(same)
	text, _ := keys(b, first).Seal(1, &ada, "3f2b8e0c-6a1d-4c58-9b7e-0d4f5a6b7c8d")
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := k.Open(1, &ada, text); !ok {
			b.Fatal("unknown")
		}
	}
}

// What whoever floods the gateway with made-up ids makes it do.
func BenchmarkOpenGarbage(b *testing.B) {
	k, ada := keys(b, second, first), owner(same)
	text := strings.Repeat("A", 1387)
	b.ReportAllocs()
	for b.Loop() {
		k.Open(1, &ada, text)
	}
}

func BenchmarkOwner(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		owner(same)
	}
}
