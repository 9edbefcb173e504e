package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport/bench/compare"
	"github.com/sallyport/sallyport/bench/setup"
)

func compareCommand() *cobra.Command {
	var f rigFlags
	var p compare.Plan
	var size []string
	var reply, picture, profile string
	cmd := &cobra.Command{
		Use:   "compare",
		Short: "Measure direct calls, Envoy, Envoy with a no-op, and the gateway, in turns",
		Long: "Starts an MCP echo server and up to six ways to it, then makes calls through them in turns:\n\n" +
			"  direct     straight to the server\n" +
			"  envoy      through Envoy with the gateway's own listener, routes and clusters, but no ext_proc\n" +
			"  noop       the same with an ext_proc service that lets everything pass\n" +
			"  sallyport  the gateway: strict decoding, envelope guard, receipts to a file\n" +
			"  quota      the same with two quotas that are counted in Redis\n" +
			"  defaults   the gateway with all guards as they are where a configuration says nothing\n\n" +
			"and, where --setups asks for them:\n\n" +
			"  limits            as sallyport, with two quotas and three budgets that are counted in Redis\n" +
			"  jwt-opa           a token and the default policy for each call, decisions used again, receipts to a file\n" +
			"  jwt-opa-uncached  the same, every decision made anew\n" +
			"  content           as sallyport, with the guards catalog, schema, egress and dlp\n" +
			"  traced            the gateway of sallyport, a tenth of its calls kept as traces and sent by OTLP\n" +
			"  unrecorded        the gateway's ext_proc service alone, without receipts\n" +
			"  recorded          the same, with receipts that are chained and signed\n\n" +
			"Each part is a process, so that its CPU time is known. The table on stdout is Markdown. Its ratios\n" +
			"compare neighbouring turns: median of the rounds (smallest-largest). \"foreign\" is the share of the\n" +
			"machine's CPUs that other programs used meanwhile; only ratios mean something when it is not near 0.\n\n" +
			"Without --rate each connection makes its next call when the last one is answered (closed loop). With\n" +
			"--rate calls are due at a fixed rate and latency counts from then, so that a stall is seen by every\n" +
			"call that was due in it (open loop, free of coordinated omission).",
		Example: "  sallyport-bench compare\n" +
			"  sallyport-bench compare --sizes 200,10KiB,100KiB --rounds 5 --plot latency.svg --json all.json\n" +
			"  sallyport-bench compare --setups noop,sallyport --era modern --reply sse --rate 1500\n" +
			"  sallyport-bench compare --setups envoy,noop,sallyport,quota,limits --sizes 200 --rounds 10    # what limits cost\n" +
			"  sallyport-bench compare --setups noop,sallyport,content --sizes 200 --rounds 10                # what looking inside costs\n" +
			"  sallyport-bench compare --setups noop,sallyport,jwt-opa,jwt-opa-uncached --sizes 200",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if p.Sizes, err = sizes(size); err != nil {
				return err
			}
			if p.Revision, err = revision(f.era); err != nil {
				return err
			}
			if p.Events, err = isSSE(reply); err != nil {
				return err
			}
			f.Pprof = profile != ""
			rig, stop, err := f.start(cmd.Context())
			if err != nil {
				return err
			}
			defer stop()
			r, err := compare.Run(cmd.Context(), rig, p, func(line string) { fmt.Fprintln(cmd.ErrOrStderr(), line) })
			if err != nil {
				return err
			}
			if err := saveJSON(f.json, r); err != nil {
				return err
			}
			if picture != "" {
				if err := save(picture, r.Plot); err != nil {
					return err
				}
			}
			if err := r.Table(cmd.OutOrStdout()); err != nil {
				return err
			}
			if profile != "" {
				if err := takeProfile(cmd.Context(), rig, p, profile); err != nil {
					return err
				}
			}
			return failed(r.Errors())
		},
	}
	f.add(cmd)
	fs := cmd.Flags()
	fs.IntVarP(&p.Connections, "concurrency", "c", 16, "connections, each with one call at a time")
	fs.DurationVarP(&p.Duration, "duration", "d", 2*time.Second, "length of one turn")
	fs.DurationVar(&p.Warmup, "warmup", 300*time.Millisecond, "time at the beginning of each turn that does not count")
	fs.IntVarP(&p.Rounds, "rounds", "r", 6, "turns of each set-up for each size")
	fs.Float64Var(&p.Rate, "rate", 0, "calls per second over all connections (open loop); 0: as many as possible (closed loop)")
	fs.StringSliceVar(&size, "sizes", []string{"200", "10KiB"}, "bytes of a call's arguments, and of its answer")
	fs.StringVar(&reply, "reply", "json", "`form` of the answers: json or sse")
	fs.StringVar(&picture, "plot", "", "also write latencies by percentile to this SVG `file`")
	fs.StringVar(&profile, "profile", "", "also take a CPU profile of the gateway under load, after all else, into this `file`")
	return cmd
}

func isSSE(reply string) (bool, error) {
	switch reply {
	case "json":
		return false, nil
	case "sse":
		return true, nil
	}
	return false, misuse{fmt.Errorf("--reply: %q is neither json nor sse", reply)}
}

// takeProfile loads the gateway once more, as long as its profile takes.
func takeProfile(ctx context.Context, rig *setup.Rig, p compare.Plan, file string) error {
	for _, s := range rig.Setups {
		if s.Name != setup.Sallyport {
			continue
		}
		length := max(time.Second, p.Duration.Truncate(time.Second))
		p.Sizes, p.Rounds, p.Duration = p.Sizes[:1], 1, length+2*time.Second
		only := *rig
		only.Setups = []setup.Setup{s}
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() error {
			_, err := compare.Run(ctx, &only, p, func(string) {})
			return err
		})
		group.Go(func() error {
			time.Sleep(p.Warmup + 500*time.Millisecond)
			return fetch(ctx, s.Admin+"/debug/pprof/profile?seconds="+strconv.Itoa(int(length.Seconds())), file)
		})
		return group.Wait()
	}
	return fmt.Errorf("--profile: the set-up %s is not among those to measure", setup.Sallyport)
}

func fetch(ctx context.Context, url, file string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return save(file, func(w io.Writer) error { _, err := io.Copy(w, resp.Body); return err })
}
