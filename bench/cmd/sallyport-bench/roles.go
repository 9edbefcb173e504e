package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"github.com/sallyport/sallyport/bench/echo"
	"github.com/sallyport/sallyport/bench/noop"
)

func echoCommand() *cobra.Command {
	return role("echo", "Serve an MCP server that does next to nothing per call",
		"Serves MCP of both eras over streamable HTTP, on any path. Tools: echo, stream.\nIt checks nothing and keeps no sessions: for tests only.",
		func(ctx context.Context, ln net.Listener) error { return new(echo.Server).Serve(ctx, ln) })
}

func noopCommand() *cobra.Command {
	return role("noop", "Serve an ext_proc service that lets everything pass",
		"Serves ext_proc for the body modes BUFFERED (request) and FULL_DUPLEX_STREAMED (response),\nand lets everything pass: the floor under any ext_proc service. For tests only.",
		func(ctx context.Context, ln net.Listener) error {
			if os.Getenv("GOGC") == "" {
				debug.SetGCPercent(400) // as the gateway does: only the service is to differ
			}
			g := grpc.NewServer()
			noop.New().Register(g)
			stop := context.AfterFunc(ctx, g.Stop)
			defer stop()
			return g.Serve(ln)
		})
}

// role is a command that serves until it is told to end.
func role(name, short, long string, serve func(context.Context, net.Listener) error) *cobra.Command {
	var listen string
	cmd := &cobra.Command{
		Use: name, Short: short, Long: long + "\n\nWhen it listens, one line on stdout says: ready ADDRESS",
		Example: "  sallyport-bench " + name + " --listen 127.0.0.1:9100",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ln, err := net.Listen("tcp", listen)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), "ready", ln.Addr())
			return serve(cmd.Context(), ln)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "`address` to listen on")
	return cmd
}
