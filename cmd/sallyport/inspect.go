package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/config"
)

func validateCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "validate FILE",
		Short:   "Check a configuration and say everything that is wrong with it",
		Long:    "Checks a configuration, its registry directory and its guards, as run and serve would.\nExits with 0 if it is good and 1 if not.",
		Example: "  sallyport validate sallyport.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := app.Validate(args[0])
			switch {
			case asJSON:
				out := struct {
					Valid  bool     `json:"valid"`
					Errors []string `json:"errors"`
				}{err == nil, []string{}}
				if err != nil {
					out.Errors = strings.Split(err.Error(), "\n")
				}
				if err := json.NewEncoder(cmd.OutOrStdout()).Encode(out); err != nil {
					return err
				}
			case err != nil:
				fmt.Fprintln(cmd.ErrOrStderr(), err)
			default:
				fmt.Fprintln(cmd.OutOrStdout(), args[0]+": good")
			}
			if err != nil {
				return errNo
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer as JSON")
	return cmd
}

func explainCommand() *cobra.Command {
	var (
		path, server, principal, reply string
		headers                        []string
	)
	cmd := &cobra.Command{
		Use:     "explain -c FILE --server NAME [--principal P.json] [--reply REPLY.json] CALL.json",
		Short:   "Say what the gateway would decide about one message, and why",
		Long:    "Judges the JSON-RPC message in CALL.json (- for standard input) as if a client had POSTed it\nto /mcp/NAME, and prints the decision with every guard's verdict; what guards find inside is named by its place,\nsuch as /params/arguments/note. With --reply it also judges what the server would answer.\nNothing is forwarded. Exits with 0 if all of it may pass and 1 if not.",
		Example: "  echo '{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}' | sallyport explain -c sallyport.yaml --server crm -",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := readInput(cmd.InOrStdin(), args[0])
			if err != nil {
				return err
			}
			var who *guard.Principal
			if principal != "" {
				text, err := readInput(cmd.InOrStdin(), principal)
				if err != nil {
					return err
				}
				if who, err = app.Principal(text); err != nil {
					return err
				}
			}
			q := app.Question{Server: server, Principal: who, Headers: headers, Message: body}
			if reply != "" {
				if q.Reply, err = readInput(cmd.InOrStdin(), reply); err != nil {
					return err
				}
			}
			e, err := app.Explain(cmd.Context(), path, q)
			if err != nil {
				return err
			}
			enc := json.NewEncoder(cmd.OutOrStdout())
			enc.SetIndent("", "  ")
			if err := enc.Encode(e); err != nil {
				return err
			}
			if e.Action != "allow" || e.Reply != nil && e.Reply.Action != "allow" {
				return errNo
			}
			return nil
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&reply, "reply", "", "JSON-RPC message with which the server answers; - for standard input")
	cmd.Flags().StringVar(&principal, "principal", "", "JSON file with who is calling, such as {\"subject\":\"alice\",\"roles\":[\"support\"]}; nobody when absent")
	cmd.Flags().StringVar(&server, "server", "", "registered server that the message is for")
	cmd.Flags().StringArrayVarP(&headers, "header", "H", nil, "request header as 'Name: value'; repeatable")
	_ = cmd.MarkFlagRequired("server") // fails only for unknown flags
	return cmd
}

func readInput(stdin io.Reader, path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(path)
}

func envoyCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use: "envoy", Short: "Print configuration for Envoys that you run", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	boot := &cobra.Command{
		Use:     "bootstrap -c FILE",
		Short:   "Print the bootstrap of an Envoy that takes everything from this gateway",
		Long:    "Prints the bootstrap of an Envoy that takes listeners, routes and clusters from the xDS\nserver of `sallyport serve` with the same configuration.",
		Example: "  sallyport envoy bootstrap -c sallyport.yaml > envoy.yaml && envoy -c envoy.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(path, app.ConfigOptions())
			if err != nil {
				return err
			}
			b, err := app.Bootstrap(cfg, cfg.XDS.Address.String())
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(b)
			return err
		},
	}
	configFlag(boot, &path)
	cmd.AddCommand(boot)
	return cmd
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "sallyport %s %s %s/%s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// version is what the build says that this is.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}
