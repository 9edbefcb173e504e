package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/bench/keys"
	"github.com/sallyport/sallyport/bench/setup"
)

func keysCommand() *cobra.Command {
	var p keys.Plan
	var out string
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Measure the memory of many counters, and the trips of a hot one",
		Long: "Charges one call to each of many counters: in process, in process with fewer counters than callers, and in a\n" +
			"Redis of its own; says what each takes of memory, and what is left when the window has passed. Then makes\n" +
			"many calls of one counter, and asks Redis how many scripts it ran for them.",
		Example: "  sallyport-bench keys\n" +
			"  sallyport-bench keys --keys 100000 --window 10s",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := os.MkdirTemp("", "sallyport-bench-")
			if err != nil {
				return err
			}
			defer func() { _ = os.RemoveAll(dir) }()
			server, address, err := setup.StartRedis(cmd.Context(), dir)
			if err != nil {
				return err
			}
			defer server.Stop()
			r, err := keys.Run(cmd.Context(), address, p, func(line string) { fmt.Fprintln(cmd.ErrOrStderr(), line) })
			if err != nil {
				return err
			}
			if err := saveJSON(out, r); err != nil {
				return err
			}
			return r.Table(cmd.OutOrStdout())
		},
	}
	fs := cmd.Flags()
	fs.IntVar(&p.Keys, "keys", 1_000_000, "callers")
	fs.IntVar(&p.Bound, "max-keys", 100_000, "guards.quota.max_keys")
	fs.DurationVar(&p.Window, "window", 5*time.Minute, "window of the limit")
	fs.IntVar(&p.Hot, "hot", 100_000, "calls of one counter")
	fs.StringVar(&out, "json", "", "also write everything measured to this `file`")
	return cmd
}
