// Command sallyport is the MCP gateway that plugs into Envoy.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// errNo is the answer no: exit code 1 without a message of its own.
var errNo = errors.New("no")

// newRoot returns the command with all that is below it.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "sallyport",
		Short:         "Govern what AI agents do through MCP, behind Envoy",
		Long:          "Sallyport reads every MCP message that passes an Envoy, decides whether it may go on,\nand keeps a receipt of each decision.\n\nStart with:  sallyport run -c sallyport.yaml",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(runCommand(true), runCommand(false), validateCommand(), explainCommand(), policyCommand(), envoyCommand(), healthCommand(), versionCommand(), inspectCommand(), catalogCommand(), auditCommand(), usageCommand(), revokeCommand(), segmentCommand())
	return root
}

// run executes one command line. Exit codes: 0 yes, 1 no or failed, 2 misuse.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	misuse := true
	inWords(root)
	understood(root, func() { misuse = false })
	asked, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errNo):
		return 1
	}
	fmt.Fprintln(stderr, "sallyport:", err)
	if misuse {
		fmt.Fprintf(stderr, "Try '%s --help'.\n", asked.CommandPath())
		return 2
	}
	return 1
}

// inWords has commands show how they are written when they get too many
// arguments or too few, which cobra only counts.
func inWords(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		inWords(sub)
	}
	check := cmd.Args
	if check == nil || cmd.HasSubCommands() {
		return // who names no command that there is learns which there are
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		err := check(cmd, args)
		if err == nil {
			return nil
		}
		usage := strings.TrimSuffix(cmd.UseLine(), " [flags]")
		switch text := err.Error(); {
		case strings.HasPrefix(text, "unknown command "):
			return fmt.Errorf("%q is an argument, and none belongs there; write: %s", args[0], usage)
		case len(args) == 0 && strings.Contains(text, "arg(s)"):
			return fmt.Errorf("an argument is missing; write: %s", usage)
		case strings.Contains(text, "arg(s)"):
			return fmt.Errorf("%d arguments are too few or too many; write: %s", len(args), usage)
		}
		return err
	}
}

// understood calls f when a command begins, which is after all its flags and
// arguments were found right.
func understood(cmd *cobra.Command, f func()) {
	if begin := cmd.RunE; begin != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			f()
			return begin(cmd, args)
		}
	}
	for _, sub := range cmd.Commands() {
		understood(sub, f)
	}
}
