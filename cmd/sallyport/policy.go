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

	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/internal/cases"
	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/internal/opa"
)

func policyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Test, build, sign, verify, compare and roll out policy bundles",
		Long:  "Works on bundles of Rego or of Cedar policies: directories or archives (.tar.gz).\n\"default\" and \"default-cedar\" are those that this build ships.",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(policyTest(), policyBuild(), policySign(), policyVerify(), policyDiff(),
		policyReplay(), policyStatusCommand(), policyRollback(), policyReleaseCommand(), policyPromote(), policyShadowCommand())
	return cmd
}

func policyTest() *cobra.Command {
	var asJSON, coverage bool
	cmd := &cobra.Command{
		Use:     "test BUNDLE",
		Short:   "Compile a bundle strictly and run its tests",
		Long:    "Compiles the bundle as the gateway does, and runs its tests: *_test.rego, with how much of the rules they reach,\nafter a look whether the rules are formatted as `opa fmt` does; or the cases in *_test.json of Cedar policies.\nExits with 0 if all is well and 1 if not.",
		Example: "  sallyport policy test ./policies\n  sallyport policy test default --coverage",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := loadPolicy(cmd.Context(), args[0], nil)
			if err != nil {
				return err
			}
			r, tests, failed, missed, err := b.test(cmd.Context())
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if asJSON {
				if err := json.NewEncoder(out).Encode(r); err != nil {
					return err
				}
			} else {
				for _, f := range failed {
					fmt.Fprintln(out, "FAIL", f)
				}
				if coverage {
					for _, m := range missed {
						fmt.Fprintln(out, "not reached", m)
					}
				}
				fmt.Fprintf(out, "%d passed, %d failed", tests.Passed, tests.Failed)
				if b.cedar == nil {
					fmt.Fprintf(out, ", %.1f %% of the rules covered\n", tests.Coverage)
				} else {
					fmt.Fprintf(out, "; %d policies had a say in none of them\n", len(missed))
				}
			}
			if len(failed) > 0 {
				return errNo
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer as JSON")
	cmd.Flags().BoolVar(&coverage, "coverage", false, "list what no test reaches")
	return cmd
}

func policyBuild() *cobra.Command {
	var out, version, commit string
	cmd := &cobra.Command{
		Use:     "build BUNDLE --version VERSION -o FILE",
		Short:   "Write a bundle as an archive under a semantic version",
		Long:    "Runs the tests, and writes rules and data, without the tests, as an archive whose revision is a semantic version\nand whose manifest says how the tests went.\nA bundle whose tests fail, or that the gateway would not take, is not written.",
		Example: "  sallyport policy build ./policies --version 1.4.0 -o policy-1.4.0.tar.gz",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := loadPolicy(cmd.Context(), args[0], nil)
			if err != nil {
				return err
			}
			if _, err := b.decider(); err != nil {
				return err
			}
			var archive bytes.Buffer
			if err := b.build(cmd.Context(), &archive, version, commit); err != nil {
				return err
			}
			return replaceFile(out, archive.Bytes())
		},
	}
	cmd.Flags().StringVar(&commit, "commit", "", "commit that the release is built from, which the manifest names")
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
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := loadPolicy(cmd.Context(), args[0], nil)
			if err != nil {
				return err
			}
			private, err := revealed(key)
			if err != nil {
				return err
			}
			var archive bytes.Buffer
			if err := b.sign(&archive, private, algorithm, id); err != nil {
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
			b, err := loadPolicy(cmd.Context(), args[0], &opa.Keys{Public: map[string]opa.Key{id: {PEM: public, Algorithm: algorithm}}})
			if err == nil {
				_, err = b.decider()
			}
			if err != nil {
				fmt.Fprintln(cmd.ErrOrStderr(), err)
				return errNo
			}
			fmt.Fprintln(cmd.OutOrStdout(), b.revision())
			return nil
		},
	}
	keyFlags(cmd, &key, &algorithm, &id)
	return cmd
}

func policyDiff() *cobra.Command {
	var file string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "diff BEFORE AFTER --cases CASES.json",
		Short:   "Say which decisions of a table two bundles make differently",
		Long:    "Asks two bundles about each case of a table and prints those whose answers differ.\nA case is an object in the words of the policy input: name, principal, server, target, arguments, ...\nExits with 0 if all answers are the same and 1 if not.",
		Example: "  sallyport policy diff policy-1.3.0.tar.gz ./policies --cases cases.json",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := readInput(cmd.InOrStdin(), file)
			if err != nil {
				return err
			}
			table, err := cases.Read(text)
			if err != nil {
				return err
			}
			var two [2]policy.Decider
			for i, path := range args {
				b, err := loadPolicy(cmd.Context(), path, nil)
				if err != nil {
					return err
				}
				if two[i], err = b.decider(); err != nil {
					return err
				}
			}
			changes := cases.Diff(cmd.Context(), two[0], two[1], table)
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
	cmd.Flags().StringVar(&file, "cases", "", "JSON array of cases (- for standard input)")
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
