// Command sallyport-bench measures what the gateway costs beside what Envoy and
// a no-op cost, and loads MCP servers.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// misuse is the error of a flag that makes no sense.
type misuse struct{ error }

// run executes one command line. Exit codes: 0 done without errors, 1 failed or
// calls failed, 2 misuse.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := &cobra.Command{
		Use:   "sallyport-bench",
		Short: "Measure what the gateway costs, and load MCP servers",
		Long: "Measures what Sallyport costs per call beside what Envoy alone, and Envoy with an ext_proc\n" +
			"service that does nothing, cost in the same run; and loads MCP servers of your own.\n\n" +
			"Start with:  make build && sallyport-bench compare",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	parsed := false
	root.PersistentPreRun = func(*cobra.Command, []string) { parsed = true }
	root.AddCommand(compareCommand(), delayCommand(), surgeCommand(), keysCommand(), loadCommand(), echoCommand(), noopCommand(), judgeCommand(), sinkCommand())
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "sallyport-bench:", err)
	if wrong := (misuse{}); !parsed || errors.As(err, &wrong) {
		fmt.Fprintln(stderr, "Try 'sallyport-bench --help'.")
		return 2
	}
	return 1
}
