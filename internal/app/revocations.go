package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/identity"
	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/redis"
	"github.com/sallyport/sallyport/internal/revocation"
)

// openShared connects to what replicas share, and opens the list of revocations,
// which a reload does not touch.
func (l *lasting) openShared(cfg *config.Config, log *slog.Logger) error {
	o := revocation.Options{File: cfg.Revoked.File, MaxStale: cfg.Revoked.MaxStale, Most: cfg.Revoked.Limit, Log: log, Now: time.Now}
	if len(cfg.Redis.Addresses) > 0 {
		to, err := redisOptions(cfg.Redis)
		if err != nil {
			return err
		}
		l.shared = redis.Connect(to)
		o.Shared = redis.Revocations{Shared: l.shared}
	}
	var err error
	l.revoked, err = revocation.Open(o)
	return err
}

func (l *lasting) closeShared() {
	if l.shared != nil {
		_ = l.shared.Close() // nothing waits for it any more
	}
}

// whyRevoked is what identity asks about each caller.
func (l *lasting) whyRevoked(p *guard.Principal) (string, error) {
	if err := l.revoked.Stale(); err != nil {
		return "", err
	}
	if e := l.revoked.Revoked(p); e != nil {
		return e.String() + " was revoked", nil
	}
	return "", nil
}

// whyEnd is what open streams are held against. Streams that are open go on
// while nobody knows whether they should.
func (l *lasting) whyEnd(p *guard.Principal) string {
	if e := l.revoked.Revoked(p); e != nil {
		return e.String() + " was revoked"
	}
	return ""
}

// asks reports whether callers have to say who they are.
func asks(a config.Authentication) bool { return needsToken(a) || needsCertificate(a) }

// revoker changes the list for operators. It refuses what could have no effect.
type revoker struct{ g *Gateway }

var _ admin.Revocations = revoker{}

func (r revoker) All() []revocation.Entry { return r.g.lasting.revoked.All() }

func (r revoker) Add(ctx context.Context, e revocation.Entry) (revocation.Entry, error) {
	cfg := r.g.source.Current()
	if err := errors.Join(e.Check(time.Now()), effective(cfg, &e)); err != nil {
		return e, fmt.Errorf("%w: %w", admin.ErrRequest, err)
	}
	if e.Expires.IsZero() && (e.Kind == revocation.Token || !e.IssuedBefore.IsZero()) {
		e.Expires = lastOf(cfg, e.IssuedBefore)
	}
	e, err := r.g.lasting.revoked.Add(ctx, e)
	log := r.g.log.With("kind", e.Kind, "value", e.Value, "issuer", e.Issuer, "id", e.ID, "note", e.Note)
	switch {
	case errors.Is(err, revocation.ErrFull):
	case err != nil:
		log.Error("revoked here; not everywhere, or not for good", "err", err)
	default:
		log.Info("revoked")
	}
	if !errors.Is(err, revocation.ErrFull) { // whoever fills the log's queue must not keep a stolen token alive
		if err := r.note(ctx, cfg, "add", e); err != nil {
			log.Error("what was revoked is on no receipt", "err", errors.Unwrap(err))
		}
	}
	return e, err
}

// Remove does nothing where no receipt can be kept, unlike Add.
func (r revoker) Remove(ctx context.Context, id string) (revocation.Entry, error) {
	list := r.All()
	if i := slices.IndexFunc(list, func(e revocation.Entry) bool { return e.ID == id }); i >= 0 {
		if err := r.note(ctx, r.g.source.Current(), "remove", list[i]); err != nil {
			return list[i], err
		}
	}
	e, err := r.g.lasting.revoked.Remove(ctx, id)
	if err == nil {
		r.g.log.Info("revocation undone", "kind", e.Kind, "value", e.Value, "issuer", e.Issuer, "id", id)
	}
	return e, err
}

// note keeps a receipt of a change. Where subjects are sealed, it does not say whom it
// was about, also not by the entry's id, from which whoever guesses could tell.
func (r revoker) note(ctx context.Context, cfg *config.Config, what string, e revocation.Entry) error {
	if e.Kind == revocation.Subject && cfg.Receipts.Sealing.Subjects == "sealed" {
		e.Value, e.ID = "", ""
	}
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return r.g.keepCommand(ctx, "/v1/revocations", what, body, guard.Event{Kind: "revocation_" + what, Guard: "identity"})
}

// effective says why nobody could be meant by e.
func effective(cfg *config.Config, e *revocation.Entry) error {
	method := cfg.Gateway.Authentication
	leaves := slices.ContainsFunc(cfg.Egress.Listeners, func(l config.EgressListener) bool { return l.TLS.AsksClients() })
	switch {
	case e.Kind == revocation.Peer && leaves: // workloads show certificates to go out
	case e.Kind == revocation.Peer && !needsCertificate(method) && !(cfg.UsesSPIFFE() && needsToken(method)): // workloads show JWT-SVIDs, too
		return fmt.Errorf("kind: gateway.authentication.method is %s, so that nobody is known as a peer", method.Method)
	case e.Kind != revocation.Peer && !needsToken(method):
		return fmt.Errorf("kind: gateway.authentication.method is %s, so that nobody is known by a token", method.Method)
	case e.Issuer == "":
		return nil
	}
	if c, ok := cfg.Guards["identity"].Config.(*identity.Config); ok {
		for _, i := range c.Issuers {
			if i.URL == e.Issuer {
				return nil
			}
		}
	}
	return fmt.Errorf("issuer: %q is none of guards.identity.issuers", e.Issuer)
}

// lastOf is when the last token that was issued before a time, or by now, ends;
// the zero time where tokens may live for ever.
func lastOf(cfg *config.Config, before time.Time) time.Time {
	longest := cfg.Identity.TokenLifetime.Max
	if longest == 0 {
		return time.Time{}
	}
	if now := time.Now(); before.Before(now) {
		before = now
	}
	return before.Add(longest + 5*time.Minute) // more than a clock may be wrong
}

// Revocations tells how the list of revocations is kept.
type Revocations struct {
	Entries   int        `json:"entries"`
	Kept      string     `json:"kept"`            // "here", "file" or "redis"
	Unshared  int        `json:"unshared"`        // entries that other replicas do not know yet
	Confirmed *time.Time `json:"as_of,omitempty"` // when Redis last confirmed the list
	Stale     string     `json:"stale,omitempty"` // why every caller is refused
	Trouble   string     `json:"trouble,omitempty"`
}

func (g *Gateway) revocations() Revocations {
	st := g.lasting.revoked.Status()
	s := Revocations{Entries: st.Entries, Kept: st.Kept, Unshared: st.Unsent}
	if st.Kept == "shared" {
		s.Kept = "redis"
	}
	if !st.Confirmed.IsZero() {
		s.Confirmed = &st.Confirmed
	}
	s.Trouble = message(st.Trouble)
	s.Stale = message(g.lasting.revoked.Stale())
	return s
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
