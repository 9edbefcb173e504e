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
	cmd := &cobra.Command{
		Use:   "surge",
		Short: "Measure what adaptive_surge does for a tenant beside a greedy one, and for a slow server",
		Long: "Starts an MCP server with few workers, and the gateway with adaptive_surge in front of it. A modest tenant\n" +
			"makes calls at a fixed rate (open loop), alone and beside a greedy one that always wants many at once, in\n" +
			"turns. Then the server becomes ten times slower, and fast again, under the greedy tenant's load.\n\n" +
			"Exit code 1 if a call of the modest tenant was refused.",
		Example: "  sallyport-bench surge\n" +
			"  sallyport-bench surge --workers 32 --service 50ms --greedy 160 --rounds 5 --duration 10s",
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
			return failed(r.Refused())
		},
	}
	f.addBinaries(cmd)
	fs := cmd.Flags()
	fs.IntVar(&p.Workers, "workers", 8, "calls that the server works on at once")
	fs.DurationVar(&p.Service, "service", 25*time.Millisecond, "time that the server takes for one call")
	fs.IntVar(&p.Ceiling, "ceiling", 100, "guards.surge.limit.max")
	fs.Float64Var(&p.Rate, "rate", 40, "calls per second of the modest tenant")
	fs.IntVar(&p.Greedy, "greedy", 40, "calls that the greedy tenant always wants at once")
	fs.IntVarP(&p.Rounds, "rounds", "r", 3, "turns alone, and beside the greedy tenant")
	fs.DurationVarP(&p.Duration, "duration", "d", 5*time.Second, "length of one turn, and of each part of the slow server")
	return cmd
}
