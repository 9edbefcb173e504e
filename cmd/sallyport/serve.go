package main

import (
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/internal/app"
)

// runCommand is `run`, with an Envoy of its own, or `serve`, without.
func runCommand(child bool) *cobra.Command {
	o := app.Options{Child: child}
	cmd := &cobra.Command{
		Use:     "serve -c FILE",
		Short:   "Serve ext_proc, ext_authz, xDS and the admin interface for Envoys that you run",
		Long:    "Serves ext_proc, ext_authz, xDS and the admin interface for Envoys that you run on this machine, or in this pod.\n`sallyport envoy bootstrap -c FILE` prints the bootstrap such an Envoy needs.\n\nSIGHUP, or a changed file, reloads the configuration; a bad one changes nothing.\nSIGTERM drains.",
		Example: "  sallyport serve -c sallyport.yaml",
		Args:    cobra.NoArgs,
	}
	if child {
		cmd.Use = "run -c FILE"
		cmd.Short = "Run the whole gateway: serve, plus an Envoy of its own"
		cmd.Long = "Runs the whole gateway on this machine: all services, and an Envoy as a child process\nthat is started again when it dies.\n\nEnvoy is the binary of --envoy, else $SALLYPORT_ENVOY, else envoy in PATH, else the\ncopy that `make tools` installs. When requests can be served, one line on stdout says\n  sallyport ready mcp=http://127.0.0.1:8080 admin=http://127.0.0.1:9003\n\nSIGHUP, or a changed file, reloads the configuration; a bad one changes nothing.\nSIGTERM drains."
		cmd.Example = "  sallyport run -c sallyport.yaml\n  sallyport run -c sallyport.yaml --envoy /usr/local/bin/envoy"
		cmd.Flags().StringVar(&o.Envoy, "envoy", "", "Envoy binary")
	}
	configFlag(cmd, &o.Config)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		collectLess()
		hup := make(chan os.Signal, 1)
		signal.Notify(hup, syscall.SIGHUP)
		defer signal.Stop(hup)
		o.Reload, o.Stdout = hup, cmd.OutOrStdout()
		return app.Run(cmd.Context(), o)
	}
	return cmd
}

// collectLess has Go collect garbage when the heap has grown fivefold instead
// of doubled: it holds little between two calls, and would be collected dozens
// of times a second. GOGC in the environment overrides it, and GOMEMLIMIT bounds
// the heap as ever.
func collectLess() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

func configFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVarP(to, "config", "c", "sallyport.yaml", "configuration file")
}
