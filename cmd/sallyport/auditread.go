package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/audit/verify"
)

// filterFlags are the flags by which receipts are chosen.
func filterFlags(cmd *cobra.Command, f *verify.Filter) {
	cmd.Flags().Func("since", "only from this time on: RFC 3339, or an age such as 2h", moment(&f.Since))
	cmd.Flags().Func("until", "only before this time", moment(&f.Until))
	cmd.Flags().StringVar(&f.Subject, "subject", "", "only of this subject")
	cmd.Flags().StringVar(&f.Tenant, "tenant", "", "only of this tenant")
	cmd.Flags().StringVar(&f.Server, "server", "", "only for this server")
	cmd.Flags().StringVar(&f.Tool, "tool", "", "only about this tool, prompt or resource, as receipts name it (a URI's parts that they hide in brackets)")
	cmd.Flags().Func("action", "only with this action: allow, hold or deny", oneOf(&f.Action, guard.Allow.String(), guard.Hold.String(), guard.Deny.String()))
	cmd.Flags().StringVar(&f.Reason, "reason", "", "only with this reason")
	ends := make([]string, 0, len(audit.Ends()))
	for _, end := range audit.Ends() {
		ends = append(ends, string(end))
	}
	cmd.Flags().Func("closed", "only closing receipts that say this: client_left, timed_out, ...", oneOf(&f.Closed, ends...))
	cmd.Flags().StringVar(&f.Exchange, "exchange", "", "only of this exchange")
}

// oneOf takes a word out of a closed list, so that a misspelt one is told from one
// that is on no receipt.
func oneOf(to *string, words ...string) func(string) error {
	return func(text string) error {
		if !slices.Contains(words, text) {
			return fmt.Errorf("is none of %s", strings.Join(words, ", "))
		}
		*to = text
		return nil
	}
}

func moment(to *time.Time) func(string) error {
	return func(text string) error {
		if age, err := time.ParseDuration(text); err == nil {
			*to = time.Now().Add(-age)
			return nil
		}
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return errors.New("write a time such as 2026-11-01T12:00:00Z, or an age such as 2h")
		}
		*to = at
		return nil
	}
}

// printer writes lines as they are, but for what steers a terminal.
func printer(cmd *cobra.Command) func(line []byte) error {
	out := legible(cmd.OutOrStdout())
	return func(line []byte) error {
		_, err := fmt.Fprintf(out, "%s\n", line)
		return err
	}
}

func auditTailCommand() *cobra.Command {
	var (
		want   verify.Filter
		n      uint
		follow bool
	)
	cmd := &cobra.Command{
		Use:     "tail DIR|FILE",
		Short:   "Print the newest receipts as JSON lines",
		Long:    "Prints the newest receipts of a receipt directory, or of a file of plain receipts, as JSON lines.\nIt verifies nothing.",
		Example: "  sallyport audit tail receipts -n 20 -f --action deny",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return verify.Tail(cmd.Context(), args[0], want, int(min(n, math.MaxInt)), follow, printer(cmd))
		},
	}
	filterFlags(cmd, &want)
	cmd.Flags().UintVarP(&n, "lines", "n", 10, "how many")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with those that come")
	return cmd
}

func auditQueryCommand() *cobra.Command {
	var (
		want  verify.Filter
		limit uint
		open  bool
	)
	cmd := &cobra.Command{
		Use:     "query DIR|FILE...",
		Short:   "Print the receipts that match, as JSON lines",
		Long:    "Prints the receipts of a receipt directory, or of a file of plain receipts, that match all flags,\noldest first, as JSON lines. It verifies nothing; `sallyport audit export` does.\nWith --open it prints the first receipts of those exchanges that were let go and of which no receipt says what\ncame of them, because they go on or because the gateway was killed; what went out through one replica can end\nat another, so give it all directories.\nExits with 0 if there is one and 1 if there is none.",
		Example: "  sallyport audit query receipts --since 24h --reason quota_exceeded --subject alice\n  sallyport audit query receipts --open --since 24h",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 && !open {
				return errors.New("without --open one directory or file is read at a time")
			}
			return cobra.MinimumNArgs(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			n, put := uint(0), printer(cmd)
			if open {
				return queryOpen(cmd, args, want, limit)
			}
			err := verify.Query(args[0], want, func(_ verify.Place, line []byte) (bool, error) {
				n++
				return limit == 0 || n < limit, put(line)
			})
			if err == nil && n == 0 {
				return errNo
			}
			return err
		},
	}
	filterFlags(cmd, &want)
	cmd.Flags().UintVar(&limit, "limit", 0, "at most so many; 0 for all")
	cmd.Flags().BoolVar(&open, "open", false, "those whose end is on no receipt")
	return cmd
}

// queryOpen prints what has no end on record, and says in words what that means.
func queryOpen(cmd *cobra.Command, paths []string, want verify.Filter, limit uint) error {
	n, put := uint(0), printer(cmd)
	o, err := verify.Open(paths, want, func(u verify.Unended) error {
		if n++; limit > 0 && n > limit {
			return nil
		}
		return put(u.Line)
	})
	if err != nil {
		return err
	}
	words := cmd.ErrOrStderr()
	if n > 0 {
		fmt.Fprintf(words, "%d exchanges have no end on record: %d began before the gateway's last start, so that they are over and nobody knows how; the others may go on\n", n, o.Over)
	}
	if o.Unseen > 0 {
		fmt.Fprintf(words, "of %d more the gateway was not shown what the server answered\n", o.Unseen)
	}
	if n == 0 {
		return errNo
	}
	return nil
}

func auditExportCommand() *cobra.Command {
	var (
		want verify.Filter
		t    trust
	)
	cmd := &cobra.Command{
		Use:     "export DIR --key PUB.pem [--key PUB.pem]...",
		Short:   "Verify a receipt directory, and print what matches if it is good",
		Long:    "Verifies a receipt directory as `sallyport audit verify` does, then prints the lines that match all\nflags, records included, as JSON lines. Of a directory that is not as it was written nothing is\nprinted. Exits with 0 if it is good and 1 if not.",
		Example: "  sallyport audit export receipts --key receipts.pub --tenant acme --since 2026-10-01T00:00:00Z > acme.jsonl",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := t.options()
			if err != nil {
				return err
			}
			r, err := verify.Directory(args[0], o)
			if err != nil {
				return err
			}
			if !r.OK {
				for _, f := range r.Findings {
					fmt.Fprintln(cmd.ErrOrStderr(), f)
				}
				return errNo
			}
			put := printer(cmd)
			want.Records = true
			return verify.Query(args[0], want, func(_ verify.Place, line []byte) (bool, error) { return true, put(line) })
		},
	}
	filterFlags(cmd, &want)
	t.flags(cmd)
	_ = cmd.MarkFlagRequired("key") // fails only for unknown flags
	return cmd
}
