package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/revocation"
)

// desk is the admin interface of a gateway that runs.
type desk struct {
	config, admin string
	json          bool
}

func (d *desk) flags(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.StringVarP(&d.config, "config", "c", "sallyport.yaml", "configuration file, which names the admin address")
	f.StringVar(&d.admin, "admin", "", "admin address, such as http://127.0.0.1:9003, instead of the configuration's")
	f.BoolVar(&d.json, "json", false, "print JSON")
}

func revokeCommand() *cobra.Command {
	d := new(desk)
	cmd := &cobra.Command{
		Use:   "revoke",
		Short: "Accept somebody no longer, whatever their tokens and certificates say",
		Long: "Accepts somebody no longer, on all replicas that share a Redis within a second. Open streams of\n" +
			"whoever is revoked end. The gateway that is asked is the one that runs with the configuration.",
		Example: "  sallyport revoke subject ana --issuer https://id.example.com/realms/agents\n" +
			"  sallyport revoke client desk --issued-before now\n  sallyport revoke list\n  sallyport revoke undo 5f0c…",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	d.flags(cmd)
	for kind, of := range map[revocation.Kind]struct{ what, example string }{
		revocation.Subject: {"a subject: whom tokens are about, or who acts for others", "ana"},
		revocation.Client:  {"an OAuth client", "desk"},
		revocation.Token:   {"one token, by its id (jti)", "5f0c2a1e-7d1c"},
		revocation.Peer:    {"whoever shows a certificate with this name, such as a SPIFFE id", "spiffe://company.example/old"},
	} {
		cmd.AddCommand(revokeOneCommand(d, kind, of.what, of.example))
	}
	cmd.AddCommand(revokeListCommand(d), revokeUndoCommand(d))
	return cmd
}

func revokeOneCommand(d *desk, kind revocation.Kind, what, example string) *cobra.Command {
	e := revocation.Entry{Kind: kind}
	cmd := &cobra.Command{
		Use: string(kind) + " VALUE", Short: "Revoke " + what, Args: cobra.ExactArgs(1),
		Example: "  sallyport revoke " + string(kind) + " " + example + " -c sallyport.yaml --note 'left'",
		RunE: func(cmd *cobra.Command, args []string) error {
			e.Value = args[0]
			var got struct {
				Revocation revocation.Entry `json:"revocation"`
				Warning    string           `json:"warning"`
			}
			if err := d.ask(cmd, http.MethodPost, "/v1/revocations", request(e), &got); err != nil {
				return err
			}
			if !d.json {
				fmt.Fprintf(cmd.OutOrStdout(), "revoked %s (%s)\n", &got.Revocation, got.Revocation.ID)
			}
			if got.Warning != "" {
				return errors.New("in force on this replica, but: " + got.Warning)
			}
			return nil
		},
	}
	f := cmd.Flags()
	if kind != revocation.Peer {
		f.StringVar(&e.Issuer, "issuer", "", "whose names are meant; all issuers' when absent")
		f.Func("issued-before", "revoke only tokens that were issued before this time: now, RFC 3339, or an age such as 2h", past(&e.IssuedBefore))
	}
	f.Func("expires", "when it ends: RFC 3339, or a time from now such as 24h; never when absent, but for what tokens cannot outlive", future(&e.Expires))
	f.StringVar(&e.Note, "note", "", "why, for other operators")
	return cmd
}

// request is e without what the gateway says itself.
func request(e revocation.Entry) any {
	return struct {
		Kind         revocation.Kind `json:"kind"`
		Value        string          `json:"value"`
		Issuer       string          `json:"issuer,omitempty"`
		IssuedBefore time.Time       `json:"issued_before,omitzero"`
		Expires      time.Time       `json:"expires,omitzero"`
		Note         string          `json:"note,omitempty"`
	}{e.Kind, e.Value, e.Issuer, e.IssuedBefore, e.Expires, e.Note}
}

// past reads "now" too: the end of this second, since tokens name whole seconds.
func past(to *time.Time) func(string) error {
	return func(text string) error {
		if text == "now" {
			*to = time.Now().Truncate(time.Second).Add(time.Second)
			return nil
		}
		return moment(to)(text)
	}
}

func future(to *time.Time) func(string) error {
	return func(text string) error {
		if d, err := time.ParseDuration(text); err == nil {
			*to = time.Now().Add(d)
			return nil
		}
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return errors.New("write a time such as 2026-11-01T12:00:00Z, or a time from now such as 24h")
		}
		*to = at
		return nil
	}
}

func revokeListCommand(d *desk) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "Print who is revoked", Args: cobra.NoArgs,
		Example: "  sallyport revoke list -c sallyport.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var got struct {
				List []revocation.Entry `json:"revocations"`
			}
			if err := d.ask(cmd, http.MethodGet, "/v1/revocations", nil, &got); err != nil || d.json {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "ID\tKIND\tVALUE\tISSUER\tISSUED BEFORE\tEXPIRES\tSINCE\tNOTE")
			for _, e := range got.List {
				fmt.Fprintf(w, "%s\t%s\t%q\t%s\t%s\t%s\t%s\t%s\n", e.ID, e.Kind, e.Value, dash(e.Issuer), at(e.IssuedBefore), at(e.Expires), at(e.Since), e.Note)
			}
			return w.Flush()
		},
	}
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func at(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

func revokeUndoCommand(d *desk) *cobra.Command {
	return &cobra.Command{
		Use: "undo ID", Short: "Accept somebody again", Args: cobra.ExactArgs(1),
		Example: "  sallyport revoke undo 5f0c… -c sallyport.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			var got struct {
				Revocation revocation.Entry `json:"revocation"`
			}
			if err := d.ask(cmd, http.MethodDelete, "/v1/revocations/"+url.PathEscape(args[0]), nil, &got); err != nil || d.json {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s is accepted again\n", &got.Revocation)
			return err
		},
	}
}

// deskTime bounds one question.
const deskTime = 10 * time.Second

// ask sends body and reads the answer into to, or copies it to stdout where JSON
// is wanted. The gateway's own words about a refusal are the error.
func (d *desk) ask(cmd *cobra.Command, method, path string, body, to any) error {
	base, err := d.base()
	if err != nil {
		return err
	}
	var send io.Reader = http.NoBody
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		send = bytes.NewReader(b)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), deskTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, base+path, send)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 256<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		var no struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(b, &no) != nil || no.Error == "" {
			no.Error = "the gateway says " + resp.Status
		}
		return errors.New(no.Error)
	}
	if d.json {
		if _, err := cmd.OutOrStdout().Write(b); err != nil {
			return err
		}
	}
	return json.Unmarshal(b, to)
}

func (d *desk) base() (string, error) {
	if d.admin != "" {
		return d.admin, nil
	}
	cfg, err := config.Load(d.config, app.ConfigOptions())
	if err != nil {
		return "", err
	}
	if cfg.Admin.Address.Port() == 0 {
		return "", errors.New("admin.address has port 0, which another process cannot know; say --admin")
	}
	return "http://" + cfg.Admin.Address.String(), nil
}
