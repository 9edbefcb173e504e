package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/audit/verify"
)

func auditProveCommand() *cobra.Command {
	var seq, from, to uint64
	cmd := &cobra.Command{
		Use:     "prove DIR (--seq N | --from N --to N)",
		Short:   "Print the proof of one receipt, or that one checkpoint goes on from another",
		Long:    "Prints a proof as JSON, which `sallyport audit verify --proof` checks without the directory:\nwith --seq that receipt N is under a signed checkpoint, with --from and --to that the later of two\ncheckpoints keeps all that the earlier one was about.\nExits with 1 if there is no such receipt, or if it is not under a checkpoint yet.",
		Example: "  sallyport audit prove receipts --seq 1234 > proof.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var (
				p   *verify.Proof
				err error
			)
			if cmd.Flags().Changed("seq") {
				p, err = verify.Prove(args[0], seq)
			} else {
				p, err = verify.ProveGrowth(args[0], from, to)
			}
			if err != nil {
				return err
			}
			return json.NewEncoder(cmd.OutOrStdout()).Encode(p)
		},
	}
	cmd.Flags().Uint64Var(&seq, "seq", 0, "number of the receipt")
	cmd.Flags().Uint64Var(&from, "from", 0, "number of the earlier checkpoint")
	cmd.Flags().Uint64Var(&to, "to", 0, "number of the later checkpoint")
	cmd.MarkFlagsRequiredTogether("from", "to")
	cmd.MarkFlagsMutuallyExclusive("seq", "from")
	cmd.MarkFlagsOneRequired("seq", "from")
	return cmd
}

func auditKeygenCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "keygen NAME",
		Short:   "Make a key that signs receipts: NAME.key and NAME.pub",
		Long:    "Makes an Ed25519 key pair: NAME.key for receipts.sign_with, which only its owner may read, and NAME.pub for\nthose who verify. Files that are there are not replaced.",
		Example: "  sallyport audit keygen receipts-2026",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			private, public, id, err := chain.GenerateKey()
			if err != nil {
				return err
			}
			key, pub := args[0]+".key", args[0]+".pub"
			if err := create(key, private, 0o600); err != nil {
				return err
			}
			if err := create(pub, public, 0o644); err != nil {
				return errors.Join(err, os.Remove(key))
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]string{"id": id, "key": key, "pub": pub})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "key %s: %s signs, %s verifies\n", id, key, pub)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer as JSON")
	return cmd
}

func create(path string, text []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return fmt.Errorf("audit: keygen: %w", err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("audit: keygen: %w", err)
	}
	return nil
}
