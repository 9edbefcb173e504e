package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/bench/surge"
)

func surgeCommand() *cobra.Command {
	var f rigFlags
	var p surge.Plan
	var atMost float64
	cmd := &cobra.Command{
		Use:   "surge",
		Short: "Measure what adaptive_surge does for a tenant beside a greedy one, and for a slow server",
		Long: "Starts an MCP server with few workers, and the gateway with adaptive_surge in front of it. A modest tenant\n" +
			"makes calls at a fixed rate (open loop), alone and beside a greedy one that always wants many at once, in\n" +
			"turns. Then the server becomes ten times slower, and fast again, under the greedy tenant's load.\n\n" +
			"The server sleeps rather than works, and the rates are low, so that the machine is idle most of the time: what\n" +
			"is measured is who waits for whom, and not who gets the CPU. On a busy machine it means nothing.\n\n" +
			"Exit code 1 if a call of the modest tenant was refused, or if --at-most is exceeded.",
		Example: "  sallyport-bench surge\n" +
			"  sallyport-bench surge --rounds 7 --duration 20s --at-most 1.2",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.complete(); err != nil {
				return err
			}
			defer func() { _ = os.RemoveAll(f.Dir) }()
			r, err := surge.Run(cmd.Context(), f.Options, p, func(line string) { fmt.Fprintln(cmd.ErrOrStderr(), line) })
			if err != nil {
				return err
			}
			if err := saveJSON(f.json, r); err != nil {
				return err
			}
			if err := r.Table(cmd.OutOrStdout()); err != nil {
				return err
			}
			if ratio := r.Ratio(); atMost > 0 && ratio > atMost {
				return fmt.Errorf("the greedy tenant moves the modest one's p99 by a factor of %.2f; at most %.2f is allowed", ratio, atMost)
			}
			return failed(r.Refused())
		},
	}
	f.addBinaries(cmd)
	fs := cmd.Flags()
	fs.IntVar(&p.Workers, "workers", 16, "calls that the server works on at once")
	fs.DurationVar(&p.Service, "service", 100*time.Millisecond, "time that the server takes for one call, give or take a fifth")
	fs.IntVar(&p.Ceiling, "ceiling", 100, "guards.surge.limit.max")
	fs.Float64Var(&p.Rate, "rate", 40, "calls per second of the modest tenant")
	fs.IntVar(&p.Greedy, "greedy", 80, "calls that the greedy tenant always wants at once; half of workers is its share")
	fs.IntVarP(&p.Rounds, "rounds", "r", 5, "turns alone, and beside the greedy tenant")
	fs.DurationVarP(&p.Duration, "duration", "d", 10*time.Second, "length of one turn, and of each part of the slow server")
	fs.Float64Var(&atMost, "at-most", 0, "fail when the median over the rounds of the p99 beside the greedy tenant over that alone is more than this; 0 only reports")
	return cmd
}
