package main

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/user"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/audit/keyring"
	"github.com/sallyport/sallyport/internal/audit/subject"
	"github.com/sallyport/sallyport/internal/config/notation"
)

func auditSubjectCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "subject", Short: "Answer what people and tenants may ask about their receipts", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(subjectFindCommand(), subjectExportCommand(), subjectEraseCommand())
	return cmd
}

// asked is one request, as flags say it.
type asked struct {
	about    subject.About
	ring     ringFlags
	trust    trust
	requests string
	signWith string
	by, why  string

	keys  *keyring.Ring // nil where none was given
	names []string      // pseudonyms
	over  []subject.Source
	book  *subject.Book
}

func (a *asked) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&a.about.Subject, "subject", "", "the person, as tokens say it")
	f.StringArrayVar(&a.about.Also, "also", nil, "what the person is called besides, at any issuer; repeatable")
	f.BoolVar(&a.about.Exact, "exact", false, "take a mail address in another case for another person's")
	f.StringVar(&a.about.Issuer, "issuer", "", "only the subject of this issuer")
	f.StringVar(&a.about.Tenant, "tenant", "", "only within this tenant; without --subject the tenant as a whole")
	f.StringVar(&a.requests, "requests", "", "receipt directory in which this request leaves its own receipt")
	f.StringVar(&a.signWith, "sign-with", "", "reference to the key that signs that receipt; receipts.sign_with of --config when absent")
	f.StringVar(&a.by, "by", "", "who answers the request; the user of this machine when absent")
	f.StringVar(&a.why, "why", "", "such as the number of a ticket")
	_ = cmd.MarkFlagRequired("requests") // fails only for unknown flags
	a.ring.flags(cmd)
	cmd.MarkFlagsOneRequired("subject", "tenant")
	cmd.MarkFlagsOneRequired("config", "sign-with")
	f.StringArrayVar(&a.trust.keys, "key", nil, "PEM file with public keys that may have signed the receipts; repeatable")
}

// begin opens all that the request needs, and says what the directories are worth.
func (a *asked) begin(cmd *cobra.Command, dirs []string) error {
	if err := a.about.Validate(); err != nil {
		return err
	}
	key, err := a.open(cmd)
	if err != nil {
		return err
	}
	if a.by == "" {
		if u, err := user.Current(); err == nil {
			a.by = u.Username
		}
	}
	o, err := a.trust.options()
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		s, err := subject.Look(dir, o.Keys)
		if err != nil {
			return err
		}
		if !s.OK {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: not proved to be as it was written (%d findings%s)\n", dir, s.Findings, unchecked(o.Keys))
		}
		a.over = append(a.over, s)
	}
	a.book, err = subject.OpenBook(a.requests, key, slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn})))
	return err
}

func unchecked(k chain.Keys) string {
	if len(k) == 0 {
		return "; signatures were not checked: give --key"
	}
	return ""
}

// open opens the ring, and finds the key that signs.
func (a *asked) open(cmd *cobra.Command) (ed25519.PrivateKey, error) {
	var ref notation.SecretRef
	if a.ring.given() {
		ring, cfg, err := a.ring.open(cmd.Context())
		if err != nil {
			return nil, err
		}
		if a.keys = ring; cfg != nil {
			ref = cfg.Receipts.SignWith
		}
		a.names = a.about.Pseudonyms(ring)
	}
	if a.signWith != "" {
		if err := ref.UnmarshalText([]byte(a.signWith)); err != nil {
			return nil, fmt.Errorf("audit: --sign-with: %w", err)
		}
	}
	if ref.Kind == "" {
		return nil, errors.New("audit: say with --sign-with which key signs the receipt of the request")
	}
	pem, err := ref.Resolve()
	if err != nil {
		return nil, fmt.Errorf("audit: sign: %w", err)
	}
	key, err := chain.ParsePrivateKey([]byte(pem.Reveal()))
	if err != nil {
		return nil, fmt.Errorf("audit: sign: %s: %w", ref, err)
	}
	return key, nil
}

// keep leaves the receipt of the request.
func (a *asked) keep(kind string, receipts, inClear int, destroyed []string) error {
	r := &subject.Record{
		Time: time.Now(), Request: kind, By: a.by, Why: a.why, Tenant: a.about.Tenant, Pseudonyms: a.names, Subject: a.named(inClear), Destroyed: destroyed,
		Receipts: receipts, InClear: inClear, Over: a.over,
	}
	if r.Subject != "" {
		r.Also = a.about.Also
	}
	return a.book.Keep(r)
}

// named is the subject where receipts name it anyway, or nothing else tells who
// was meant.
func (a *asked) named(inClear int) string {
	if len(a.names) > 0 && inClear == 0 {
		return ""
	}
	if a.keys != nil && inClear == 0 {
		return "" // nobody knows her
	}
	return a.about.Subject
}

func (a *asked) each(dirs []string, f func(subject.Found) error) (n, inClear int, err error) {
	err = subject.Find(dirs, a.about, a.names, func(one subject.Found) error {
		n++
		if one.InClear {
			inClear++
		}
		if f == nil {
			return nil
		}
		return f(one)
	})
	return n, inClear, err
}

func subjectFindCommand() *cobra.Command {
	var a asked
	cmd := &cobra.Command{
		Use:     "find DIR... (--subject NAME | --tenant NAME) --requests DIR [-c FILE | --keys DIR --wrap-with REF] [--key PUB.pem]...",
		Short:   "Print all receipts about somebody, with where they stand",
		Long:    "Prints all receipts about a subject, or of a tenant, over the directories of all replicas, as JSON lines\nwith where they stand. Where subjects are sealed it takes the key ring to know them.\nas says what she is in it: caller, actor (for somebody else), or only mentioned, by a mail address.\nMail addresses are found in any case (--exact: only as written), other names as written. --also adds names.\nThe request leaves a receipt of its own. Exits with 0 if there are receipts and 1 if there are none.",
		Example: "  sallyport audit subject find receipts-* -c sallyport.yaml --subject alice --requests requests --key sign.pub",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, dirs []string) error {
			if err := a.begin(cmd, dirs); err != nil {
				return err
			}
			n, open, err := a.each(dirs, nil)
			if err := errors.Join(err, a.keep(subject.KindFind, n, open, nil)); err != nil { // first, so that there is no answer without it
				return err
			}
			if n == 0 {
				return errNo
			}
			out := json.NewEncoder(legible(cmd.OutOrStdout()))
			_, _, err = a.each(dirs, func(f subject.Found) error { return out.Encode(f) })
			return err
		},
	}
	a.flags(cmd)
	return cmd
}

func subjectExportCommand() *cobra.Command {
	var a asked
	cmd := &cobra.Command{
		Use:     "export DIR... (--subject NAME | --tenant NAME) --requests DIR [-c FILE | --keys DIR --wrap-with REF] --key PUB.pem",
		Short:   "Print a copy of all receipts about somebody, unsealed, each with its proof",
		Long:    "Prints one JSON document with all receipts about a subject, or of a tenant: each as it was written, with\nwhat was sealed in it, and with the proof that it is under a signed checkpoint.\nThe request leaves a receipt of its own. Exits with 0, also if there are no receipts.",
		Example: "  sallyport audit subject export receipts-* -c sallyport.yaml --subject alice --requests requests --key sign.pub > alice.json",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, dirs []string) error {
			if err := a.begin(cmd, dirs); err != nil {
				return err
			}
			n, open, err := a.each(dirs, nil)
			if err := errors.Join(err, a.keep(subject.KindExport, n, open, nil)); err != nil { // first, so that no copy leaves without it
				return err
			}
			_, err = subject.Export(cmd.OutOrStdout(), a.over, a.about, a.names, a.keys)
			return err
		},
	}
	a.flags(cmd)
	return cmd
}

func subjectEraseCommand() *cobra.Command {
	var (
		a           asked
		yes, asJSON bool
	)
	cmd := &cobra.Command{
		Use:     "erase DIR... (--subject NAME | --tenant NAME) --requests DIR (-c FILE | --keys DIR --wrap-with REF) [--yes]",
		Short:   "Destroy the keys without which nobody can read what is sealed about somebody",
		Long:    "Destroys the keys of a subject, or of a tenant and of all of its subjects. What was sealed under them cannot\nbe read any more, and a pseudonym says nothing; the receipts stay as they are and still verify.\nWithout --yes it says what it would do. Receipts that name the subject in clear are counted: no key takes\nthem away. The request leaves a receipt of its own.\nExits with 0 if nothing about the subject can be read any more, and 1 if something can.",
		Example: "  sallyport audit subject erase receipts-* -c sallyport.yaml --subject alice --requests requests --key sign.pub --why TICKET-7 --yes",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, dirs []string) error {
			if !a.ring.given() {
				return errNoRing
			}
			if err := a.begin(cmd, dirs); err != nil {
				return err
			}
			say := func(e erasure) error { _, err := fmt.Fprintln(cmd.OutOrStdout(), e); return err }
			if asJSON {
				say = func(e erasure) error { return json.NewEncoder(cmd.OutOrStdout()).Encode(e) }
			}
			return a.erase(cmd, dirs, yes, say)
		},
	}
	a.flags(cmd)
	cmd.MarkFlagsOneRequired("config", "keys")
	cmd.Flags().BoolVar(&yes, "yes", false, "do it; nobody can undo it")
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer as JSON")
	return cmd
}

// erasure is what was done, or would be.
type erasure struct {
	Done      bool     `json:"done"`
	Keys      int      `json:"keys"`                // destroyed, or to be
	Destroyed []string `json:"destroyed,omitempty"` // their ids
	Receipts  int      `json:"receipts"`            // that they are about
	InClear   int      `json:"in_clear"`            // receipts of which no key takes the name
}

func (e erasure) String() string {
	if !e.Done {
		return fmt.Sprintf("%d keys would be destroyed, about %d receipts; nothing was done: add --yes", e.Keys, e.Receipts)
	}
	return fmt.Sprintf("%d keys destroyed, about %d receipts", e.Keys, e.Receipts)
}

func (a *asked) erase(cmd *cobra.Command, dirs []string, yes bool, say func(erasure) error) error {
	n, inClear, err := a.each(dirs, nil)
	if err != nil {
		return errors.Join(err, a.book.Leave())
	}
	if a.about.Subject == "" {
		inClear = 0 // the name of a tenant is no secret of its
	}
	if !yes {
		keys := 0
		a.keys.Keys(func(k *keyring.Key) {
			if a.about.Owns(k) {
				keys++
			}
		})
		if err := errors.Join(say(erasure{Keys: keys, Receipts: n, InClear: inClear}), a.book.Leave(), a.clear(cmd.ErrOrStderr(), inClear)); err != nil {
			return err
		}
		return errNo
	}
	ids, err := a.keys.Destroy(cmd.Context(), a.about.Owns)
	if err != nil {
		return errors.Join(err, a.book.Leave())
	}
	if err := a.keep(subject.KindErase, n, inClear, ids); err != nil {
		return fmt.Errorf("audit: the keys %v are destroyed, and the receipt of that is not written: %w", ids, err)
	}
	if err := say(erasure{Done: true, Keys: len(ids), Destroyed: ids, Receipts: n, InClear: inClear}); err != nil {
		return err
	}
	if err := a.clear(cmd.ErrOrStderr(), inClear); err != nil || inClear == 0 {
		return err
	}
	return errNo
}

// clear says what stays readable.
func (a *asked) clear(words io.Writer, n int) error {
	if n == 0 {
		return nil
	}
	_, err := fmt.Fprintf(words, "%d receipts name the subject in clear (receipts.sealing.subjects was not sealed, or as an actor, or in a text of somebody else's): they end with their directory\n", n)
	return err
}
