package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/internal/audit/verify"
	"github.com/sallyport/sallyport/internal/replay"
)

func policyReplay() *cobra.Command {
	var receipts, bundle, against string
	var filter verify.Filter
	var asJSON, strict bool
	cmd := &cobra.Command{
		Use:     "replay --receipts PATH --bundle NEW [--against OLD]",
		Short:   "Say which recorded decisions a bundle would make differently",
		Long:    "Asks a bundle what recorded receipts were about, and prints each decision that comes out otherwise\nthan recorded, or with --against than another bundle decides. A decision that needs arguments which\nthe receipt does not hold (receipts.keep) is not guessed: it is counted as not decidable.\nExits with 0 if nothing changes and 1 if something does, or with --strict if something is not decidable.",
		Example: "  sallyport policy replay --receipts receipts --bundle policy-1.4.0.tar.gz\n  sallyport policy replay --receipts receipts.jsonl --bundle ./policies --against policy-1.3.0.tar.gz --since 24h",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			examiner := func(path string) (replay.Examiner, error) {
				b, err := loadPolicy(cmd.Context(), path, nil)
				if err != nil {
					return nil, err
				}
				return b.decider()
			}
			candidate, err := examiner(bundle)
			if err != nil {
				return err
			}
			var old replay.Examiner
			if against != "" {
				if old, err = examiner(against); err != nil {
					return err
				}
			}
			r := replay.New(candidate, old)
			err = verify.Query(receipts, filter, func(at verify.Place, line []byte) (bool, error) {
				return true, r.Receipt(cmd.Context(), fmt.Sprintf("%s:%d", at.File, at.Line), line)
			})
			if err != nil {
				return err
			}
			if asJSON {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				err = enc.Encode(r.Result)
			} else {
				showReplay(cmd.OutOrStdout(), cmd.ErrOrStderr(), &r.Result)
			}
			if err == nil && (len(r.Result.Changes) > 0 || strict && len(r.Result.Undecidable) > 0) {
				return errNo
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&receipts, "receipts", "", "receipt directory, or file of plain receipts")
	f.StringVar(&bundle, "bundle", "", "bundle to ask")
	f.StringVar(&against, "against", "", "bundle to compare with, instead of what was recorded")
	f.StringVar(&filter.Server, "server", "", "only receipts of this server")
	f.Func("since", "only receipts from this time on: RFC 3339, or an age such as 2h", moment(&filter.Since))
	f.BoolVar(&asJSON, "json", false, "answer as JSON")
	f.BoolVar(&strict, "strict", false, "say no if a decision cannot be made for want of arguments")
	for _, name := range []string{"receipts", "bundle"} {
		_ = cmd.MarkFlagRequired(name) // fails only for unknown flags
	}
	return cmd
}

func showReplay(out, words io.Writer, r *replay.Result) {
	for _, c := range r.Changes {
		fmt.Fprintf(out, "%s  %s  %s: %s %s: %s -> %s\n", c.Time.Format(time.RFC3339), c.Receipt, caller(c.Subject, c.Tenant, c.Roles), c.Server, strings.TrimSpace(c.Method+" "+c.Target), c.Before, c.After)
	}
	fmt.Fprintf(words, "%d of %d decisions change; %d receipts, %d not about a decision\n", len(r.Changes), r.Replayed, r.Receipts, r.Skipped)
	for _, why := range slices.Sorted(maps.Keys(r.Undecidable)) {
		fmt.Fprintf(words, "%d not decidable: %s\n", r.Undecidable[why], why)
	}
}
