package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/config"
)

// gateways are running gateways that a command speaks to.
type gateways struct {
	config string
	admins []string
}

func (g *gateways) flags(cmd *cobra.Command) {
	configFlag(cmd, &g.config)
	cmd.Flags().StringArrayVar(&g.admins, "admin", nil, "URL of a gateway's admin interface, instead of the one in the configuration; once for each replica")
}

func (g *gateways) urls() ([]string, error) {
	if len(g.admins) > 0 {
		return g.admins, nil
	}
	cfg, err := config.Load(g.config, app.ConfigOptions())
	if err != nil {
		return nil, err
	}
	if cfg.Admin.Address.Port() == 0 {
		return nil, errors.New("admin.address has port 0, which another process cannot know; name the gateway with --admin")
	}
	return []string{"http://" + cfg.Admin.Address.String()}, nil
}

// each asks every gateway in turn, and tries all even if one says no.
func (g *gateways) each(ctx context.Context, method, path string, body []byte, show func(admin string, reply []byte) error) error {
	urls, err := g.urls()
	if err != nil {
		return err
	}
	var errs []error
	for _, u := range urls {
		reply, err := speak(ctx, method, strings.TrimSuffix(u, "/")+path, body)
		if err == nil {
			err = show(u, reply)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", u, err))
		}
	}
	return errors.Join(errs...)
}

func speak(ctx context.Context, method, url string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		var why struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(reply, &why) != nil || why.Error == "" {
			why.Error = fmt.Sprintf("answers with status %d: %s", resp.StatusCode, printable(string(bytes.TrimSpace(reply[:min(len(reply), 512)]))))
		}
		err = errors.New(why.Error)
	}
	return reply, err
}

// policyChange is a command that changes which bundle judges.
func policyChange(verb, use, short, long, example string) *cobra.Command {
	var g gateways
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Example: example, Args: cobra.NoArgs,
	}
	if verb == "rollback" {
		cmd.Args = cobra.MaximumNArgs(1)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		to := ""
		if len(args) > 0 {
			to = args[0]
		}
		body, err := json.Marshal(map[string]string{"to": to})
		if err != nil {
			return err
		}
		return g.each(cmd.Context(), http.MethodPost, "/v1/policy/"+verb, body, func(_ string, reply []byte) error {
			var now app.Judging
			if err := json.Unmarshal(reply, &now); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), now.Revision)
			return nil
		})
	}
	g.flags(cmd)
	return cmd
}

func policyRollback() *cobra.Command {
	return policyChange("rollback", "rollback [REVISION] -c FILE", "Have an earlier bundle judge again, at once",
		"Makes the bundle that judged before judge again, or the kept bundle of REVISION, which may be\nshortened. While a new bundle is in its canary, that one is given up instead.\n\nThis holds until the source offers a newer version than the one rolled back, or until\n`sallyport policy release`. Prints the revision that judges now.",
		"  sallyport policy rollback -c sallyport.yaml\n  sallyport policy rollback 1.3.0 -c sallyport.yaml\n  sallyport policy rollback --admin http://127.0.0.1:9003 --admin http://127.0.0.1:9103")
}

func policyReleaseCommand() *cobra.Command {
	return policyChange("release", "release -c FILE", "End a rollback: take what the source offers",
		"Forgets what was rolled back or rejected, and takes the bundle that the source offers,\nthrough its canary if one is configured. Prints the revision that is taken.",
		"  sallyport policy release -c sallyport.yaml")
}

func policyPromote() *cobra.Command {
	return policyChange("promote", "promote -c FILE", "Have the bundle in its canary judge everybody now",
		"Ends the canary of a new bundle early: it judges everybody from now on. Prints its revision.",
		"  sallyport policy promote -c sallyport.yaml")
}

func policyStatusCommand() *cobra.Command {
	var g gateways
	var asJSON bool
	cmd := &cobra.Command{
		Use: "status -c FILE", Short: "Say which bundles judge, wait and are kept in a running gateway",
		Example: "  sallyport policy status -c sallyport.yaml\n  sallyport policy status -c sallyport.yaml --json", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.each(cmd.Context(), http.MethodGet, "/v1/policy", nil, func(_ string, reply []byte) error {
				if asJSON {
					_, err := cmd.OutOrStdout().Write(reply)
					return err
				}
				var r app.Releases
				if err := json.Unmarshal(reply, &r); err != nil {
					return err
				}
				showReleases(cmd.OutOrStdout(), &r)
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer as JSON")
	g.flags(cmd)
	return cmd
}

func showReleases(out io.Writer, r *app.Releases) {
	fmt.Fprintf(out, "live       %s since %s\n", r.Live, r.Since.Format(time.RFC3339))
	if r.Candidate != "" {
		fmt.Fprintf(out, "candidate  %s in stage %d of %d since %s: %d decisions, %d of %d compared come out otherwise, %d errors\n", r.Candidate, r.Stage, r.Stages,
			r.Entered.Format(time.RFC3339), r.Progress.Decisions, r.Progress.Disagreed, r.Progress.Compared, r.Progress.Errors)
	}
	if r.Pin != nil {
		fmt.Fprintf(out, "held       until a version newer than %s, rolled back at %s\n", r.Pin.From, r.Pin.At.Format(time.RFC3339))
	}
	for _, j := range r.Rejected {
		fmt.Fprintf(out, "rejected   %s at %s: %s\n", j.Revision, j.At.Format(time.RFC3339), j.Why)
	}
	for _, k := range r.Kept {
		fmt.Fprintf(out, "kept       %s taken %s\n", k.Revision, k.Taken.Format(time.RFC3339))
	}
	for _, why := range []string{r.Held, r.Error} {
		if why != "" {
			fmt.Fprintf(out, "offered    is not taken: %s\n", why)
		}
	}
}

func policyShadowCommand() *cobra.Command {
	var g gateways
	var asJSON bool
	var latest int
	cmd := &cobra.Command{
		Use: "shadow -c FILE", Short: "Say where the shadow bundle of a running gateway would decide otherwise",
		Long:    "Prints how the decisions of the shadow bundle compare with those that were made: counts,\nthen the groups of disagreements, most frequent first.\nExits with 0 if all agree and 1 if not.",
		Example: "  sallyport policy shadow -c sallyport.yaml\n  sallyport policy shadow -c sallyport.yaml --json --latest 100", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			disagreed := false
			err := g.each(cmd.Context(), http.MethodGet, fmt.Sprintf("/v1/policy/shadow?latest=%d", latest), nil, func(_ string, reply []byte) error {
				var s app.Shadowed
				if err := json.Unmarshal(reply, &s); err != nil {
					return err
				}
				disagreed = disagreed || s.Summary == nil || s.Disagreed > 0
				if asJSON {
					_, err := cmd.OutOrStdout().Write(reply)
					return err
				}
				showShadow(cmd.OutOrStdout(), &s)
				return nil
			})
			if err == nil && disagreed {
				return errNo
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer as JSON")
	cmd.Flags().IntVar(&latest, "latest", 20, "how many single disagreements to tell")
	g.flags(cmd)
	return cmd
}

func showShadow(out io.Writer, s *app.Shadowed) {
	if s.Error != "" {
		fmt.Fprintf(out, "the shadow bundle is not good: %s\n", s.Error)
	}
	if s.Summary == nil {
		fmt.Fprintln(out, "nothing was compared")
		return
	}
	fmt.Fprintf(out, "%s decides, %s is compared: %d decisions, %d disagree, %d dropped\n", s.Base, s.Other, s.Compared, s.Disagreed, s.Dropped)
	for _, x := range s.Groups {
		fmt.Fprintf(out, "%6d  %s: %s %s: %s -> %s\n", x.Count, x.Server, x.Step, strings.TrimSpace(x.Kind+" "+x.Target), x.Before, x.After)
	}
	for _, d := range s.Latest {
		fmt.Fprintf(out, "%s  %s: %s %s: %s -> %s\n", d.Time.Format(time.RFC3339), caller(d.Subject, d.Tenant, d.Roles), d.Server, strings.TrimSpace(d.Kind+" "+d.Target), d.Before, d.After)
	}
}

// caller says who somebody is.
func caller(subject, tenant string, roles []string) string {
	who := subject
	if who == "" {
		who = "anonymous"
	}
	if tenant != "" {
		who += " of " + tenant
	}
	if len(roles) > 0 {
		who += " (" + strings.Join(roles, ", ") + ")"
	}
	return who
}
