package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/user"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/catalog"
	"github.com/sallyport/sallyport/internal/inspect/definition"
)

func catalogCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "catalog", Short: "Look at the definitions of servers' tools, prompts and resources, and say which are trusted", Args: cobra.NoArgs,
		Long: "Works on the folder that guards.catalog.directory of the configuration names. A running gateway takes\nchanges up within a second.",
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(catalogListCommand(), catalogDiffCommand(), catalogPinCommand(), catalogQuarantineCommand(), catalogForgetCommand())
	return cmd
}

// target is what a command is about.
type target struct {
	config, kind string
}

func (t *target) flags(cmd *cobra.Command) {
	configFlag(cmd, &t.config)
	cmd.Flags().StringVar(&t.kind, "kind", "tool", "what is meant: tool, prompt, resource, template or instructions")
}

// resolve reads SERVER [NAME].
func (t *target) resolve(args []string) (book *catalog.Book, server string, k definition.Kind, name string, err error) {
	k, ok := definition.ParseKind(t.kind)
	if !ok {
		return nil, "", 0, "", fmt.Errorf("--kind %q is not tool, prompt, resource, template or instructions", t.kind)
	}
	switch {
	case k == definition.Instructions && len(args) == 1:
	case k == definition.Instructions:
		return nil, "", 0, "", errors.New("instructions have no name; name the server only")
	case len(args) < 2:
		return nil, "", 0, "", errors.New("name the server, and the " + t.kind)
	default:
		name = args[1]
	}
	book, err = app.Catalog(t.config)
	return book, args[0], k, name, err
}

func catalogListCommand() *cobra.Command {
	var path, state string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list -c FILE [SERVER]", Short: "List the definitions that are known, and where they stand", Args: cobra.MaximumNArgs(1),
		Example: "  sallyport catalog list -c sallyport.yaml --state changed",
		RunE: func(cmd *cobra.Command, args []string) error {
			book, err := app.Catalog(path)
			if err != nil {
				return err
			}
			var shown []catalog.Entry
			for _, e := range book.Entries(strings.Join(args, "")) {
				if state == "" || e.State == state {
					shown = append(shown, e)
				}
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), shown)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
			fmt.Fprintln(w, "SERVER\tKIND\tNAME\tSTATE\tPINNED BY\tSUSPICIONS")
			for _, e := range shown {
				by := ""
				if e.Pinned != nil {
					by = e.Pinned.By
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", e.Server, e.Kind, visible(e.Name), e.State, by, strings.Join(e.Suspicions, "; "))
			}
			return w.Flush()
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&state, "state", "", "only these: pinned, changed, waiting or quarantined")
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer as JSON, with the definitions")
	return cmd
}

// visible writes a name so that nothing in it is hidden from the operator.
func visible(name string) string {
	if q := fmt.Sprintf("%+q", name); q[1:len(q)-1] != name {
		return q
	}
	return name
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func catalogDiffCommand() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use: "diff -c FILE SERVER NAME", Short: "Show how a definition differs from the pinned one", Args: cobra.RangeArgs(1, 2),
		Long:    "Shows each change with its class: wording, annotation, schema or widened. Exits with 1 if there is one.",
		Example: "  sallyport catalog diff -c sallyport.yaml crm send_email",
		RunE: func(cmd *cobra.Command, args []string) error {
			book, server, kind, name, err := t.resolve(args)
			if err != nil {
				return err
			}
			for _, e := range book.Entries(server) {
				if e.Kind != kind || e.Name != name {
					continue
				}
				return showDiff(cmd.OutOrStdout(), &e)
			}
			return fmt.Errorf("no %s %q of server %q has been listed", kind, name, server)
		},
	}
	t.flags(cmd)
	return cmd
}

func showDiff(w io.Writer, e *catalog.Entry) error {
	for _, s := range e.Suspicions {
		fmt.Fprintln(w, "suspicious: "+s)
	}
	switch {
	case e.Offered == nil:
		fmt.Fprintln(w, "as it was pinned")
		return nil
	case e.Pinned == nil:
		fmt.Fprintf(w, "never pinned; offered as %s:\n%s\n", e.Offered.Hash, e.Offered.Definition)
		return errNo
	}
	changes, err := e.Changes()
	if err != nil {
		return err
	}
	for _, c := range changes {
		fmt.Fprintln(w, c)
	}
	fmt.Fprintf(w, "offered as %s\n", e.Offered.Hash)
	return errNo
}

func catalogPinCommand() *cobra.Command {
	var t target
	var hash, by string
	var all bool
	cmd := &cobra.Command{
		Use: "pin -c FILE SERVER NAME [--hash HASH] | pin -c FILE SERVER --all", Short: "Trust the form in which a definition is offered now", Args: cobra.RangeArgs(1, 2),
		Long:    "Makes the offered form the trusted one, and ends a quarantine. With --hash, as diff prints it, only the form\nthat was looked at is pinned.",
		Example: "  sallyport catalog pin -c sallyport.yaml crm send_email --hash 9f2c...",
		RunE: func(cmd *cobra.Command, args []string) error {
			if by == "" {
				if u, err := user.Current(); err == nil {
					by = u.Username
				}
			}
			if all {
				return pinAll(cmd, t.config, args, by)
			}
			book, server, kind, name, err := t.resolve(args)
			if err != nil {
				return err
			}
			return book.Pin(server, kind, name, hash, by)
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&hash, "hash", "", "the form that is meant")
	cmd.Flags().StringVar(&by, "by", "", "who decides; the user who runs the command when absent")
	cmd.Flags().BoolVar(&all, "all", false, "everything of the server that is not quarantined")
	return cmd
}

func pinAll(cmd *cobra.Command, path string, args []string, by string) error {
	if len(args) != 1 {
		return errors.New("--all takes a server and no name")
	}
	book, err := app.Catalog(path)
	if err != nil {
		return err
	}
	n := 0
	for _, e := range book.Entries(args[0]) {
		if e.State != "waiting" && e.State != "changed" {
			continue
		}
		if err := book.Pin(e.Server, e.Kind, e.Name, e.Offered.Hash, by); err != nil {
			return err
		}
		n++
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%d pinned\n", n)
	return nil
}

func catalogQuarantineCommand() *cobra.Command {
	var t target
	var why string
	cmd := &cobra.Command{
		Use: "quarantine -c FILE SERVER NAME", Short: "Hide and refuse something until it is pinned", Args: cobra.RangeArgs(1, 2),
		Example: "  sallyport catalog quarantine -c sallyport.yaml crm send_email --why 'under review'",
		RunE: func(_ *cobra.Command, args []string) error {
			book, server, kind, name, err := t.resolve(args)
			if err != nil {
				return err
			}
			return book.Quarantine(server, kind, name, why)
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&why, "why", "", "for other operators")
	return cmd
}

func catalogForgetCommand() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use: "forget -c FILE SERVER NAME", Short: "Drop what is known, as if it had never been listed", Args: cobra.RangeArgs(1, 2),
		Example: "  sallyport catalog forget -c sallyport.yaml crm send_email",
		RunE: func(_ *cobra.Command, args []string) error {
			book, server, kind, name, err := t.resolve(args)
			if err != nil {
				return err
			}
			return book.Forget(server, kind, name)
		},
	}
	t.flags(cmd)
	return cmd
}
