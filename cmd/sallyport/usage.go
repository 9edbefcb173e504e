package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/internal/app"
	own "github.com/sallyport/sallyport/internal/budget"
	"github.com/sallyport/sallyport/internal/config/notation"
)

func usageCommand() *cobra.Command {
	var (
		g                 gateways
		asJSON, asCSV, f  bool
		top               int
		from, to, groupBy string
		filters           = make(map[string]*string)
	)
	cmd := &cobra.Command{
		Use:   "usage -c FILE",
		Short: "Tell who used what, and what it cost",
		Long: "Asks a running gateway what calls of tools cost and used, this month unless told otherwise.\n" +
			"Gateways that share a Redis tell the same. Grouped by what cost_controls.monitoring.cost_attribution\nsays, or by --by.",
		Example: "  sallyport usage -c sallyport.yaml --by tenant,tool --top 10\n  sallyport usage -c sallyport.yaml --forecast\n  sallyport usage grant -c sallyport.yaml --budget per_project --project acme --cost '$100'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{}
			for k, v := range map[string]string{"from": from, "to": to, "group_by": groupBy} {
				if v != "" {
					q.Set(k, v)
				}
			}
			for k, v := range filters {
				if cmd.Flags().Changed(k) {
					q.Set(k, *v)
				}
			}
			if asCSV {
				q.Set("format", "csv")
			}
			if f {
				q.Set("forecast", "true")
			}
			return g.each(cmd.Context(), http.MethodGet, "/v1/usage?"+q.Encode(), nil, func(_ string, reply []byte) error {
				if asCSV {
					_, err := cmd.OutOrStdout().Write(reply)
					return err
				}
				var r app.UsageReport
				if err := json.Unmarshal(reply, &r); err != nil {
					return err
				}
				if top > 0 && len(r.Usage) > top {
					slices.SortStableFunc(r.Usage, func(a, b own.Row) int { return cmp.Compare(b.Cost, a.Cost) })
					r.Usage = r.Usage[:top]
				}
				if asJSON {
					enc := json.NewEncoder(cmd.OutOrStdout())
					enc.SetIndent("", "  ")
					return enc.Encode(r)
				}
				return usageTable(cmd, &r)
			})
		},
	}
	g.flags(cmd)
	fs := cmd.Flags()
	fs.BoolVar(&asJSON, "json", false, "print JSON")
	fs.BoolVar(&asCSV, "csv", false, "print CSV")
	fs.BoolVar(&f, "forecast", false, "also say what the month will have cost at its end")
	fs.IntVar(&top, "top", 0, "only so many, the most expensive first")
	fs.StringVar(&from, "from", "", "first day, such as 2026-11-01")
	fs.StringVar(&to, "to", "", "last day")
	fs.StringVar(&groupBy, "by", "", "any of "+strings.Join(own.Dimensions(), ", ")+", with commas between")
	for _, d := range own.Dimensions()[1:] {
		filters[d] = fs.String(d, "", "only of this "+d)
	}
	cmd.MarkFlagsMutuallyExclusive("json", "csv")
	cmd.AddCommand(accountCommand("show", "Show an account of a budget"), accountCommand("reset", "Let an account of a budget begin anew"), accountCommand("grant", "Raise the limits of an account until it begins anew"))
	return cmd
}

func usageTable(cmd *cobra.Command, r *app.UsageReport) error {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, strings.ToUpper(strings.Join(r.GroupBy, "\t"))+"\tCALLS\tFAILED\tCOST\tTOKENS\tBYTES OUT")
	for i := range r.Usage {
		row := &r.Usage[i]
		for _, d := range r.GroupBy {
			v := row.Of(d)
			if v == "" {
				v = "-"
			}
			fmt.Fprintf(w, "%s\t", printable(v))
		}
		fmt.Fprintf(w, "%d\t%d\t%s\t%d\t%d\n", row.Calls, row.Failed, dollars(row.Cost), row.Tokens, row.BytesOut)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if f := r.Forecast; f != nil {
		fmt.Fprintf(cmd.OutOrStdout(), "\n%s so far: %s; at %s a day, the month ends at %s\n", f.Month, dollars(f.SoFar), dollars(f.PerDay), dollars(f.End))
	}
	return nil
}

// printable keeps what callers chose from talking to the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}

func dollars(micro int64) string {
	text, _ := notation.Money(micro).MarshalText() // it has no errors
	return string(text)
}

// accountCommand shows an account of a budget, or changes it.
func accountCommand(verb, short string) *cobra.Command {
	var (
		g    gateways
		c    app.AccountChange
		cost string
	)
	leaves := ""
	if verb != "show" {
		leaves = " It leaves a receipt and an event,\nand changes nothing if no receipt can be kept."
	}
	cmd := &cobra.Command{
		Use: verb + " -c FILE --budget NAME", Short: short,
		Long:    short + ".\nThe flags say whose account it is, in the words of the principal; those by which the budget has no\naccounts of their own do not matter." + leaves + " With several gateways that\nshare no Redis, name each with --admin.",
		Example: "  sallyport usage " + verb + " -c sallyport.yaml --budget per_project --project acme" + map[string]string{"grant": " --cost '$100'"}[verb],
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cost != "" {
				c.Cost = new(notation.Money)
				if err := c.Cost.UnmarshalText([]byte(cost)); err != nil {
					return fmt.Errorf("--cost %w", err)
				}
			}
			body, err := json.Marshal(c)
			if err != nil {
				return err
			}
			return g.each(cmd.Context(), http.MethodPost, "/v1/usage/"+verb, body, func(_ string, reply []byte) error {
				_, err := cmd.OutOrStdout().Write(reply)
				return err
			})
		},
	}
	g.flags(cmd)
	fs := cmd.Flags()
	fs.StringVar(&c.Budget, "budget", "", "name of the budget, such as per_project, per_agent_session or sandbox")
	_ = cmd.MarkFlagRequired("budget") // fails only for unknown flags
	for _, f := range []struct {
		to         *string
		name, what string
	}{
		{&c.Of.Subject, "subject", "subject of the principal"}, {&c.Of.Issuer, "issuer", "issuer of that subject, agent or client"}, {&c.Of.Agent, "agent", "agent"},
		{&c.Of.Client, "client", "OAuth client"}, {&c.Of.Tenant, "tenant", "tenant"}, {&c.Of.Project, "project", "project"},
		{&c.Of.Session, "session", "session id, as the server knows it; with --server"}, {&c.Of.Task, "task", "task that a token names"},
		{&c.Of.Named, "named-task", "task that the client named"}, {&c.Of.Server, "server", "server"}, {&c.Of.Tool, "tool", "tool; with --server"},
	} {
		fs.StringVar(f.to, f.name, "", f.what)
	}
	if verb == "grant" {
		fs.StringVar(&cost, "cost", "", "money, such as $100")
		fs.Int64Var(&c.Calls, "calls", 0, "calls")
		fs.Int64Var(&c.Bytes, "bytes", 0, "bytes of replies")
		fs.Int64Var(&c.Destructive, "destructive", 0, "destructive calls")
	}
	if verb != "show" {
		fs.StringVar(&c.Because, "because", "", "why, for the receipt")
	}
	return cmd
}
