package main

import (
	"encoding/json"
	"errors"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/internal/audit/lineage"
)

func auditLineageCommand() *cobra.Command {
	o := lineage.Options{Window: lineage.DefaultWindow, Depth: lineage.DefaultDepth, Most: lineage.DefaultMost}
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "lineage CALL DIR|FILE...",
		Short:   "Say which earlier calls fed a call",
		Long:    "Reads receipts, of all replicas that are given, and prints as a tree which earlier calls of the same\ncaller fed the call with the exchange id CALL: by a value that stands in both (guards.flow.values_key),\nby a label that the earlier one brought (guards.flow), and with --all also by time alone, since the\ncaller had that reply before. Time says that something could have been known, a label that the gateway\nreckoned with it, a value that it was used. It verifies nothing; `sallyport audit verify` does.\nExits with 1 if no receipt is of that exchange.",
		Example: "  sallyport audit lineage 5c2e1f... /var/lib/a/receipts /var/lib/b/receipts",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := lineage.Of(args[1:], args[0], o)
			if errors.Is(err, lineage.ErrNone) {
				cmd.PrintErrln(err)
				return errNo
			}
			if err != nil {
				return err
			}
			if asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", "  ")
				return e.Encode(r)
			}
			if !r.Fingerprints {
				cmd.PrintErrln("these receipts hold no fingerprints of values (guards.flow.values_key), so that only labels and time speak")
			}
			return r.Write(cmd.OutOrStdout())
		},
	}
	cmd.Flags().DurationVar(&o.Window, "window", o.Window, "how long before a call to look for its sources")
	cmd.Flags().IntVar(&o.Depth, "depth", o.Depth, "how many calls in a row to follow back")
	cmd.Flags().IntVar(&o.Most, "most", o.Most, "sources of each call to list; 0 for all")
	cmd.Flags().BoolVar(&o.All, "all", false, "also what only time speaks for")
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer as JSON")
	return cmd
}
