package provider

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// lifetime is that of access tokens.
const lifetime = 10 * time.Minute

type contexter = context.Context

// resource is the context key of the resource that a client asks a token for.
type resource struct{}

// resources hands the resource of a request (RFC 8707, 2) to the storage, since
// the library does not.
func resources(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if named := r.FormValue("resource"); named != "" {
			r = r.WithContext(context.WithValue(r.Context(), resource{}, named))
		}
		next.ServeHTTP(w, r)
	})
}

func audience(ctx context.Context) []string {
	if named, ok := ctx.Value(resource{}).(string); ok {
		return []string{named}
	}
	return nil
}

// storage is everything that the provider knows.
type storage struct {
	redirect string

	mu      sync.Mutex
	n       int
	keys    []key // the last one signs
	asked   map[string]*request
	byCode  map[string]string
	service []string // what clients without a resource get a token for
	denied  string   // a scope that nobody gets
}

func newStorage(redirect string) *storage {
	return &storage{redirect: redirect, asked: make(map[string]*request), byCode: make(map[string]string)}
}

func (s *storage) sign(with *ecdsa.PrivateKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	s.keys = append(s.keys, key{fmt.Sprintf("k%d", s.n), with})
}

func (s *storage) withdraw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = s.keys[len(s.keys)-1:]
}

func (s *storage) register(resource string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.service = []string{resource}
}

func (s *storage) loggedIn(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.asked[id]; r != nil {
		r.subject, r.at = Person, time.Now()
	}
}

// key signs, and is published without its private half.
type key struct {
	id      string
	private *ecdsa.PrivateKey
}

func (k key) ID() string                                  { return k.id }
func (k key) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.ES256 }
func (k key) Key() any                                    { return k.private }

type published struct{ key }

func (p published) Algorithm() jose.SignatureAlgorithm { return jose.ES256 }
func (p published) Use() string                        { return "sig" }
func (p published) Key() any                           { return p.private.Public() }

func (s *storage) SigningKey(context.Context) (op.SigningKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[len(s.keys)-1], nil
}

func (s *storage) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.ES256}, nil
}

func (s *storage) KeySet(context.Context) ([]op.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []op.Key
	for _, k := range s.keys {
		out = append(out, published{k})
	}
	return out, nil
}

// request is somebody's wish for a token, by the code flow or by credentials.
type request struct {
	oidc.AuthRequest
	id, subject string
	audience    []string
	at          time.Time
}

func (r *request) GetID() string                      { return r.id }
func (r *request) GetACR() string                     { return "" }
func (r *request) GetAMR() []string                   { return []string{"pwd"} }
func (r *request) GetAudience() []string              { return r.audience }
func (r *request) GetAuthTime() time.Time             { return r.at }
func (r *request) GetClientID() string                { return r.ClientID }
func (r *request) GetNonce() string                   { return r.Nonce }
func (r *request) GetResponseMode() oidc.ResponseMode { return r.ResponseMode }
func (r *request) GetScopes() []string                { return r.Scopes }
func (r *request) GetState() string                   { return r.State }
func (r *request) GetSubject() string                 { return r.subject }
func (r *request) Done() bool                         { return r.subject != "" }
func (r *request) GetCodeChallenge() *oidc.CodeChallenge {
	return &oidc.CodeChallenge{Challenge: r.CodeChallenge, Method: r.CodeChallengeMethod}
}

var errUnknown = errors.New("provider: unknown")

func (s *storage) CreateAuthRequest(ctx context.Context, asked *oidc.AuthRequest, _ string) (op.AuthRequest, error) {
	if asked.CodeChallengeMethod != oidc.CodeChallengeMethodS256 {
		return nil, oidc.ErrInvalidRequest().WithDescription("PKCE with S256 is needed")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	r := &request{AuthRequest: *asked, id: fmt.Sprintf("r%d", s.n), audience: audience(ctx)}
	s.asked[r.id] = r
	return r, nil
}

func (s *storage) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.asked[id]; r != nil {
		return r, nil
	}
	return nil, errUnknown
}

func (s *storage) AuthRequestByCode(ctx context.Context, code string) (op.AuthRequest, error) {
	s.mu.Lock()
	id := s.byCode[code]
	s.mu.Unlock()
	return s.AuthRequestByID(ctx, id)
}

func (s *storage) SaveAuthCode(_ context.Context, id, code string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byCode[code] = id
	return nil
}

func (s *storage) DeleteAuthRequest(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.asked, id)
	return nil
}

func (s *storage) ClientCredentials(ctx context.Context, id, secret string) (op.Client, error) {
	if err := s.AuthorizeClientIDSecret(ctx, id, secret); err != nil {
		return nil, err
	}
	return s.GetClientByClientID(ctx, id)
}

// ClientCredentialsTokenRequest is for the resource that the client names, or
// else for the one that it is registered for (Register).
func (s *storage) ClientCredentialsTokenRequest(ctx context.Context, id string, scopes []string) (op.TokenRequest, error) {
	r := &request{subject: id, audience: audience(ctx)}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.ClientID, r.Scopes = id, slices.DeleteFunc(scopes, func(scope string) bool { return scope == s.denied })
	if r.audience == nil {
		r.audience = s.service
	}
	return r, nil
}

func (s *storage) CreateAccessToken(context.Context, op.TokenRequest) (string, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	return fmt.Sprintf("t%d", s.n), time.Now().Add(lifetime), nil
}

// GetPrivateClaimsFromScopes adds what the gateway is told to read.
func (s *storage) GetPrivateClaimsFromScopes(_ context.Context, _, client string, scopes []string) (map[string]any, error) {
	return map[string]any{"roles": []string{"support"}, "client_id": client, "scope": oidc.SpaceDelimitedArray(scopes).String()}, nil
}

func (s *storage) AuthorizeClientIDSecret(_ context.Context, id, secret string) error {
	if id != Worker || secret != Secret {
		return errUnknown
	}
	return nil
}

func (s *storage) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	if id != Desk && id != Worker {
		return nil, errUnknown
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return client{id, s.redirect, s.denied}, nil
}
