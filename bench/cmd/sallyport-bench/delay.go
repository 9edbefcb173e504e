package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/bench/delay"
)

func delayCommand() *cobra.Command {
	var f rigFlags
	var p delay.Plan
	cmd := &cobra.Command{
		Use:   "sse",
		Short: "Measure how long the events of a stream are delayed",
		Long: "Opens event streams through all set-ups at the same time, and measures the delay of each event from\n" +
			"the moment at which the server wrote it (the event says when) to that at which its first byte was read.",
		Example: "  sallyport-bench sse --duration 1m\n" +
			"  sallyport-bench sse --duration 10m --interval 1s --json delay.json    # the soak: make soak",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if p.Revision, err = revision(f.era); err != nil {
				return err
			}
			rig, stop, err := f.start(cmd.Context())
			if err != nil {
				return err
			}
			defer stop()
			r, err := delay.Run(cmd.Context(), rig, p)
			if err != nil {
				return err
			}
			if err := saveJSON(f.json, r); err != nil {
				return err
			}
			if err := r.Table(cmd.OutOrStdout()); err != nil {
				return err
			}
			return failed(r.Errors())
		},
	}
	f.add(cmd)
	fs := cmd.Flags()
	fs.IntVarP(&p.Streams, "streams", "c", 4, "streams for each set-up")
	fs.DurationVarP(&p.Duration, "duration", "d", time.Minute, "length of the streams")
	fs.DurationVar(&p.Interval, "interval", time.Second, "time between two events of a stream")
	return cmd
}
