package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/audit/deliver"
)

func auditSinksCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "sinks", Short: "Show and steer what receipts are delivered to", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(sinksList(), sinksSteer("pause", "Stop delivering to a sink; its place in the log is kept, over restarts too"),
		sinksSteer("resume", "Go on delivering to a sink"), sinksSteer("replay", "Deliver again to a sink what was decided since a time"))
	return cmd
}

func sinksList() *cobra.Command {
	var (
		g      gateways
		asJSON bool
	)
	cmd := &cobra.Command{
		Use: "list -c FILE", Short: "Say how far each sink is",
		Long:    "Asks a running gateway how far each sink is, and what keeps it.\nExits with 1 if a sink fails.",
		Example: "  sallyport audit sinks list -c sallyport.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			failing := false
			err := g.each(cmd.Context(), http.MethodGet, "/v1/sinks", nil, func(_ string, reply []byte) error {
				var r app.SinkReport
				if err := json.Unmarshal(reply, &r); err != nil {
					return err
				}
				for i := range r.Sinks {
					failing = failing || r.Sinks[i].State == "failing"
				}
				if asJSON {
					_, err := cmd.OutOrStdout().Write(reply)
					return err
				}
				return sinkTable(cmd.OutOrStdout(), &r)
			})
			if err == nil && failing {
				return errNo
			}
			return err
		},
	}
	g.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer as JSON")
	return cmd
}

func sinkTable(out io.Writer, r *app.SinkReport) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "SINK\tKIND\tSTATE\tDELIVERED\tLAG\tBEHIND\tDEAD\tMISSED\tWHY")
	for i := range r.Sinks {
		s := &r.Sinks[i]
		behind := time.Duration(s.LagSeconds * float64(time.Second)).Round(time.Second)
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\t%d\t%d\t%s\n", s.Name, s.Kind, s.State, s.Delivered, s.Lag, behind, s.Dead, s.Missed, printable(sinkWhy(s)))
	}
	return w.Flush()
}

// sinkWhy says what is wrong with a sink.
func sinkWhy(s *deliver.Status) string {
	var why []string
	if s.Aside != nil {
		why = append(why, fmt.Sprintf("%d callers set aside, %d receipts behind the rest", len(s.Aside.Callers), s.AsideLag), s.AsideError)
	}
	why = append(why, s.Error)
	if d := s.Distrusted; d != nil {
		why = append(why, "since "+d.At.Format(time.DateTime)+" somebody has changed the receipt directory: "+d.Why)
	}
	return strings.Join(slices.DeleteFunc(why, func(s string) bool { return s == "" }), "; ")
}

func sinksSteer(verb, short string) *cobra.Command {
	var (
		g      gateways
		c      app.SinkCommand
		from   time.Time
		asJSON bool
	)
	use := verb + " NAME -c FILE"
	if verb == "replay" {
		use += " --from TIME"
	}
	cmd := &cobra.Command{
		Use: use, Short: short,
		Long:    short + ".\nIt leaves a receipt and an event, and does nothing if no receipt can be kept.",
		Example: "  sallyport audit sinks " + verb + " siem -c sallyport.yaml --because 'maintenance'",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c.Sink = args[0]
			if verb == "replay" {
				c.From = &from
			}
			body, err := json.Marshal(c)
			if err != nil {
				return err
			}
			return g.each(cmd.Context(), http.MethodPost, "/v1/sinks/"+verb, body, func(_ string, reply []byte) error {
				var r app.SinkChange
				if err := json.Unmarshal(reply, &r); err != nil {
					return err
				}
				switch {
				case asJSON:
					_, err = cmd.OutOrStdout().Write(reply)
				case verb == "replay":
					_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: from receipt %d on\n", r.Sink.Name, r.First)
				default:
					_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", r.Sink.Name, r.Sink.State)
				}
				return err
			})
		},
	}
	g.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer as JSON")
	cmd.Flags().StringVar(&c.Because, "because", "", "why, for the receipt")
	if verb == "replay" {
		cmd.Example = "  sallyport audit sinks replay siem -c sallyport.yaml --from 2026-11-01T00:00:00Z\n  sallyport audit sinks replay siem -c sallyport.yaml --from 2h"
		cmd.Flags().Func("from", "the time to begin with: RFC 3339, or an age such as 2h", moment(&from))
		_ = cmd.MarkFlagRequired("from") // fails only for unknown flags
	}
	return cmd
}
