package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/audit/verify"
)

func auditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "audit", Short: "Read receipts, and prove that they are whole and unchanged", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(auditVerifyCommand(), auditProveCommand(), auditTailCommand(), auditQueryCommand(), auditLineageCommand(), auditExportCommand(), auditKeygenCommand(), auditPayloadCommand(), auditKeysCommand(), auditSubjectCommand(), auditReportCommand())
	cmd.AddCommand(auditSinksCommand())
	return cmd
}

// trust is how commands are told whom and what to believe.
type trust struct {
	keys      []string
	published string
}

func (t *trust) flags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&t.keys, "key", nil, "PEM file with public keys that may have signed; repeatable")
	cmd.Flags().StringVar(&t.published, "published", "", "the second copy of the checkpoints (receipts.publish)")
}

func (t *trust) options() (verify.Options, error) {
	o := verify.Options{Keys: chain.Keys{}, Published: t.published}
	for _, path := range t.keys {
		text, err := os.ReadFile(path)
		if err != nil {
			return o, fmt.Errorf("audit: --key: %w", err)
		}
		if err := o.Keys.Add(text); err != nil {
			return o, fmt.Errorf("audit: --key %s: %w", path, err)
		}
	}
	return o, nil
}

func auditVerifyCommand() *cobra.Command {
	var (
		t      trust
		asJSON bool
		proof  bool
	)
	cmd := &cobra.Command{
		Use:     "verify DIR [--key PUB.pem]...",
		Short:   "Say whether a receipt directory, or one receipt with its proof, is as it was written",
		Long:    "Reads a receipt directory (receipts.directory) without the gateway, and says what is missing,\naltered, reordered, truncated or forged, with file, line and receipt. With --proof it reads\nwhat `sallyport audit prove` printed instead. Without --key signatures are not checked, and whoever\ncould write the directory could have written all of it anew.\nExits with 0 if nothing is wrong and 1 if something is.",
		Example: "  sallyport audit verify receipts --key receipts.pub --published /mnt/worm/checkpoints.jsonl\n  sallyport audit verify --proof proof.json --key receipts.pub",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := t.options()
			if err != nil {
				return err
			}
			if proof {
				return verifyProof(cmd, args[0], o, asJSON)
			}
			r, err := verify.Directory(args[0], o)
			if err != nil {
				return err
			}
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(r)
			} else {
				err = sayReport(cmd.OutOrStdout(), cmd.ErrOrStderr(), r)
			}
			if err != nil {
				return err
			}
			if !r.OK {
				return errNo
			}
			return nil
		},
	}
	t.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer as JSON")
	cmd.Flags().BoolVar(&proof, "proof", false, "the argument is a file with a proof (- for standard input)")
	return cmd
}

// sayReport prints what was found, the places first.
func sayReport(out, words io.Writer, r *verify.Report) error {
	for _, f := range r.Findings {
		fmt.Fprintln(words, f)
	}
	if r.More > 0 {
		fmt.Fprintf(words, "and %d findings more\n", r.More)
	}
	verdict := "good"
	if !r.OK {
		verdict = fmt.Sprintf("NOT as it was written, %d findings", len(r.Findings)+r.More)
	}
	_, err := fmt.Fprintf(out, "%s: %s\nreplica %s, %d receipts (%d to %d) in %d segments, %d checkpoints, signatures %s\n",
		r.Directory, verdict, r.Replica, r.Receipts, r.FirstSeq, r.LastSeq, r.Segments, r.Checkpoints, r.Signatures)
	if r.Published != "" {
		fmt.Fprintf(words, "published: %s\n", r.Published)
	}
	if r.Removed > 0 {
		fmt.Fprintf(words, "the gateway removed the oldest %d segments, because they need be kept no longer\n", r.Removed)
	}
	if r.Signatures == "unchecked" {
		fmt.Fprintln(words, "signatures were not checked: give --key")
	}
	if r.Unsealed > 0 {
		fmt.Fprintf(words, "the last %d lines are under no checkpoint yet: only the chain holds them\n", r.Unsealed)
	}
	saySinks(words, r.Sinks)
	if r.Lost > 0 {
		fmt.Fprintf(words, "the gateway says that it could not keep %d receipts\n", r.Lost)
	}
	if r.Interrupted > 0 {
		fmt.Fprintf(words, "the gateway was %d times not stopped in order, and says so\n", r.Interrupted)
	}
	return err
}

// saySinks prints what is remarkable of what sinks remember.
func saySinks(words io.Writer, sinks []verify.Sink) {
	for i := range sinks {
		s := &sinks[i]
		if s.State != verify.Authentic {
			fmt.Fprintf(words, "sink %s: what it remembers is %s\n", printable(s.Name), strings.ReplaceAll(s.State, "_", " "))
		}
		if d := s.Distrusted; d != nil {
			fmt.Fprintf(words, "sink %s: the gateway found at %s: %s\n", printable(s.Name), d.At.Format(time.RFC3339), printable(d.Why))
		}
	}
}

func verifyProof(cmd *cobra.Command, path string, o verify.Options, asJSON bool) error {
	text, err := readInput(cmd.InOrStdin(), path)
	if err != nil {
		return err
	}
	p, err := verify.ParseProof(text)
	if err == nil {
		err = p.Check(o.Keys)
	}
	signatures := "valid"
	if len(o.Keys) == 0 {
		signatures = "unchecked"
	}
	switch {
	case asJSON:
		out := struct {
			OK         bool   `json:"ok"`
			Signatures string `json:"signatures"`
			Receipt    string `json:"receipt,omitempty"` // that is proved, byte for byte
			Checkpoint string `json:"checkpoint,omitempty"`
			Why        string `json:"why,omitempty"`
		}{OK: err == nil, Signatures: signatures}
		if err != nil {
			out.Why = err.Error()
		} else {
			out.Receipt, out.Checkpoint = p.Receipt, p.Checkpoint
		}
		if err := json.NewEncoder(cmd.OutOrStdout()).Encode(out); err != nil {
			return err
		}
	case err == nil:
		fmt.Fprintf(cmd.OutOrStdout(), "%s: proved, signatures %s\n", path, signatures)
		for _, line := range []string{p.Receipt, p.Checkpoint} { // what was proved is what is looked at
			if line != "" {
				fmt.Fprintln(cmd.OutOrStdout(), printable(line))
			}
		}
	default:
		fmt.Fprintln(cmd.ErrOrStderr(), err)
	}
	if err != nil {
		return errNo
	}
	return nil
}
