package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/internal/opa"
)

func policyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Test, build, sign, verify, compare and roll out policy bundles",
		Long:  "Works on OPA bundles: directories or archives (.tar.gz). \"default\" is the bundle that this build ships.",
	}
	cmd.AddCommand(policyTest(), policyBuild(), policySign(), policyVerify(), policyDiff(),
		policyReplay(), policyStatusCommand(), policyRollback(), policyReleaseCommand(), policyPromote(), policyShadowCommand())
	return cmd
}

// loadBundle reads a bundle without asking for signatures.
func loadBundle(path string) (*opa.Bundle, error) {
	if path == "default" {
		return opa.Default()
	}
	return opa.Load(path, nil)
}

func policyTest() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "test BUNDLE",
		Short:   "Compile a bundle strictly and run its tests",
		Long:    "Compiles the bundle as the gateway does, checks that its rules are formatted as `opa fmt` does,\nruns its *_test.rego, and reports how much of the rules they reach.\nExits with 0 if all is well and 1 if not.",
		Example: "  sallyport policy test ./policies\n  sallyport policy test default",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := loadBundle(args[0])
			if err != nil {
				return err
			}
			r, err := opa.Test(cmd.Context(), b)
			if err != nil {
				return err
			}
			if asJSON {
				if err := json.NewEncoder(cmd.OutOrStdout()).Encode(r); err != nil {
					return err
				}
			} else {
				for _, f := range r.Failed {
					fmt.Fprintf(cmd.OutOrStdout(), "FAIL %s at %s: %s\n", f.Test, f.At, f.Why)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%d passed, %d failed, %.1f %% of the rules covered\n", r.Passed, len(r.Failed), r.Coverage)
			}
			if len(r.Failed) > 0 {
				return errNo
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer as JSON")
	return cmd
}

func policyBuild() *cobra.Command {
	var out, version string
	cmd := &cobra.Command{
		Use:     "build BUNDLE --version VERSION -o FILE",
		Short:   "Write a bundle as an archive under a semantic version",
		Long:    "Writes rules and data, without the tests, as an archive whose revision is a semantic version.\nA bundle that the gateway would not take is not written.",
		Example: "  sallyport policy build ./policies --version 1.4.0 -o policy-1.4.0.tar.gz",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			b, err := loadBundle(args[0])
			if err != nil {
				return err
			}
			var archive bytes.Buffer
			if err := opa.Build(&archive, b, version); err != nil {
				return err
			}
			return replaceFile(out, archive.Bytes())
		},
	}
	cmd.Flags().StringVar(&version, "version", "", "semantic version; the manifest's revision when absent")
	outFlag(cmd, &out)
	return cmd
}

func policySign() *cobra.Command {
	var out, key, algorithm, id string
	cmd := &cobra.Command{
		Use:     "sign BUNDLE --key REFERENCE --id KEY-ID -o FILE",
		Short:   "Write a bundle as a signed archive",
		Long:    "Signs a bundle with a PEM private key, in the format of OPA's bundle signatures.\nThe key is given by reference, env:NAME or file:/path; the id is what gateways find the public key by.",
		Example: "  sallyport policy sign policy-1.4.0.tar.gz --key file:/secure/release.pem --id release-2026 -o policy-1.4.0.signed.tar.gz",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			b, err := loadBundle(args[0])
			if err != nil {
				return err
			}
			private, err := revealed(key)
			if err != nil {
				return err
			}
			var archive bytes.Buffer
			if err := opa.Sign(&archive, b, private, algorithm, id); err != nil {
				return err
			}
			return replaceFile(out, archive.Bytes())
		},
	}
	keyFlags(cmd, &key, &algorithm, &id)
	outFlag(cmd, &out)
	return cmd
}

func policyVerify() *cobra.Command {
	var key, algorithm, id string
	cmd := &cobra.Command{
		Use:     "verify BUNDLE --key REFERENCE --id KEY-ID",
		Short:   "Say whether a bundle is signed by a key and can be taken",
		Long:    "Verifies the signature with a PEM public key, given by reference, and compiles the bundle.\nPrints its revision. Exits with 0 if a gateway would take it and 1 if not.",
		Example: "  sallyport policy verify policy-1.4.0.signed.tar.gz --key file:/etc/sallyport/release.pub --id release-2026",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			public, err := revealed(key)
			if err != nil {
				return err
			}
			b, err := opa.Load(args[0], &opa.Keys{Public: map[string]opa.Key{id: {PEM: public, Algorithm: algorithm}}})
			if err == nil {
				_, err = opa.New(b, opa.Settings{Places: 1})
			}
			if err != nil {
				fmt.Fprintln(cmd.ErrOrStderr(), err)
				return errNo
			}
			fmt.Fprintln(cmd.OutOrStdout(), b.Revision())
			return nil
		},
	}
	keyFlags(cmd, &key, &algorithm, &id)
	return cmd
}

func policyDiff() *cobra.Command {
	var cases string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "diff BEFORE AFTER --cases CASES.json",
		Short:   "Say which decisions of a table two bundles make differently",
		Long:    "Asks two bundles about each case of a table and prints those whose answers differ.\nA case is an object in the words of the policy input: name, principal, server, target, arguments, ...\nExits with 0 if all answers are the same and 1 if not.",
		Example: "  sallyport policy diff policy-1.3.0.tar.gz ./policies --cases cases.json",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := readInput(cmd.InOrStdin(), cases)
			if err != nil {
				return err
			}
			table, err := opa.Cases(text)
			if err != nil {
				return err
			}
			var two [2]*opa.Policy
			for i, path := range args {
				b, err := loadBundle(path)
				if err != nil {
					return err
				}
				if two[i], err = opa.New(b, opa.Settings{Places: 1}); err != nil {
					return err
				}
			}
			changes := opa.Diff(cmd.Context(), two[0], two[1], table)
			if asJSON {
				if err := json.NewEncoder(cmd.OutOrStdout()).Encode(changes); err != nil {
					return err
				}
			} else {
				for _, c := range changes {
					fmt.Fprintf(cmd.OutOrStdout(), "%s: %s -> %s\n", c.Name, c.Before, c.After)
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "%d of %d decisions change\n", len(changes), len(table))
			}
			if len(changes) > 0 {
				return errNo
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&cases, "cases", "", "JSON array of cases (- for standard input)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer as JSON")
	_ = cmd.MarkFlagRequired("cases") // fails only for unknown flags
	return cmd
}

func keyFlags(cmd *cobra.Command, key, algorithm, id *string) {
	cmd.Flags().StringVar(key, "key", "", "reference to the PEM key: env:NAME or file:/path")
	cmd.Flags().StringVar(algorithm, "algorithm", "EdDSA", "signature algorithm, such as EdDSA, ES256 or RS256")
	cmd.Flags().StringVar(id, "id", "", "key id")
	for _, name := range []string{"key", "id"} {
		_ = cmd.MarkFlagRequired(name) // fails only for unknown flags
	}
}

func outFlag(cmd *cobra.Command, out *string) {
	cmd.Flags().StringVarP(out, "output", "o", "", "archive to write")
	_ = cmd.MarkFlagRequired("output") // fails only for unknown flags
}

func revealed(reference string) (string, error) {
	var ref notation.SecretRef
	if err := ref.UnmarshalText([]byte(reference)); err != nil {
		return "", fmt.Errorf("--key: %w", err)
	}
	s, err := ref.Resolve()
	if err != nil {
		return "", err
	}
	return s.Reveal(), nil
}

// replaceFile writes a file in one step: a gateway that watches it must never
// see half a bundle.
func replaceFile(path string, data []byte) (err error) {
	if strings.HasSuffix(path, string(filepath.Separator)) {
		return errors.New("--output: is a directory")
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name())
		}
	}()
	if _, err = tmp.Write(data); err != nil {
		_ = tmp.Close()
		return err
	}
	if err := errors.Join(tmp.Chmod(0o644), tmp.Close()); err != nil { // a bundle is no secret
		return err
	}
	return os.Rename(tmp.Name(), path)
}
