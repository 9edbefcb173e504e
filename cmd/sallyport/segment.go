package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/mcp"
	"github.com/sallyport/sallyport/segment"
)

func segmentCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "segment", Short: "Sign what models read, and verify it", Args: cobra.NoArgs,
		Long: "A segment is the JSON of a prompts/get, tools/call or resources/read result, of an initialize result (its\ninstructions), of the params of sampling/createMessage, or one content block. docs/signed-segments.md has the format.",
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(segmentSignCommand(), segmentVerifyCommand(), segmentKeysCommand())
	return cmd
}

// place says what a segment is part of.
type place struct {
	segment.About
	block     bool
	arguments string
}

func (p *place) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&p.Server, "server", "", "the server's name in the gateway's registry")
	f.StringVar(&p.Method, "method", "prompts/get", "prompts/get, tools/call, resources/read, initialize or sampling/createMessage")
	f.StringVar(&p.Name, "name", "", "prompt, tool or resource URI")
	f.BoolVar(&p.block, "block", false, "the JSON is one content block, not the whole")
	f.StringVar(&p.arguments, "arguments", "", "file with the request's arguments, where a signature is bound to them")
	_ = cmd.MarkFlagRequired("server") // fails only for unknown flags
}

func (p *place) resolve(cmd *cobra.Command) (segment.About, error) {
	a := p.About
	if segment.Covered(a.Method) == nil {
		return a, fmt.Errorf("--method %q: nothing of it can be signed", a.Method)
	}
	a.Part = segment.Whole
	if p.block {
		a.Part = segment.Block
	}
	if p.arguments != "" {
		text, err := readInput(cmd.InOrStdin(), p.arguments)
		if err != nil {
			return a, err
		}
		a.Arguments = text
	}
	return a, nil
}

func segmentSignCommand() *cobra.Command {
	var p place
	var keyFile, id, lifetime string
	cmd := &cobra.Command{
		Use: "sign --key KEY.pem --server NAME [--method METHOD] [--name NAME] RESULT.json", Short: "Put a signature into the _meta of a segment", Args: cobra.ExactArgs(1),
		Long:    "Reads the JSON of a segment (- for standard input) and prints it with the signature in its _meta.\nThe key is an Ed25519 or P-256 private key in PEM, such as `openssl genpkey -algorithm ed25519` makes.",
		Example: "  sallyport segment sign --key crm.pem --server crm --name triage --lifetime 30d result.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, err := p.resolve(cmd)
			if err != nil {
				return err
			}
			text, err := os.ReadFile(keyFile)
			if err != nil {
				return err
			}
			s := segment.Signer{KeyID: id}
			if s.Key, err = segment.ParsePrivateKey(text); err != nil {
				return fmt.Errorf("%s: %w", keyFile, err)
			}
			if s.Lifetime, err = notation.ParseDuration(lifetime); err != nil || s.Lifetime <= 0 {
				return fmt.Errorf("--lifetime %q is no positive duration, such as 30d", lifetime)
			}
			raw, err := readSegment(cmd, args[0])
			if err != nil {
				return err
			}
			e, err := s.Sign(about, raw)
			if err != nil {
				return err
			}
			out, err := withMeta(raw, e)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", out)
			return err
		},
	}
	p.flags(cmd)
	cmd.Flags().StringVar(&keyFile, "key", "", "file with the private key")
	cmd.Flags().StringVar(&id, "kid", "", "the key's id; its thumbprint when absent")
	cmd.Flags().StringVar(&lifetime, "lifetime", "1h", "until the signature expires")
	_ = cmd.MarkFlagRequired("key") // fails only for unknown flags
	return cmd
}

// readSegment reads one strict JSON object: what two parsers could read
// differently is not signed.
func readSegment(cmd *cobra.Command, path string) (json.RawMessage, error) {
	text, err := readInput(cmd.InOrStdin(), path)
	if err != nil {
		return nil, err
	}
	m, f := mcp.NewDecoder(mcp.Config{Limits: mcp.Limits{Bytes: 16 << 20}}).Decode(mcp.ToClient, append(append([]byte(`{"jsonrpc":"2.0","id":1,"result":`), text...), '}'))
	if f != nil {
		return nil, fmt.Errorf("the segment is not strict JSON: %w", f)
	}
	if len(m.Result) == 0 || m.Result[0] != '{' {
		return nil, errors.New("the segment is no JSON object")
	}
	return m.Result, nil
}

// withMeta puts the signature into the _meta of raw, and leaves the rest as it is.
func withMeta(raw json.RawMessage, e segment.Envelope) ([]byte, error) {
	value, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	d := mcp.NewDecoder(mcp.Config{Limits: mcp.Limits{Bytes: 16 << 20}})
	m, f := d.Decode(mcp.ToClient, append(append([]byte(`{"jsonrpc":"2.0","id":1,"result":`), raw...), '}'))
	if f != nil {
		return nil, f
	}
	edit := mcp.SetPointer("/result/_meta", []byte(`{"`+segment.Key+`":`+string(value)+`}`))
	if meta, ok := mcp.Member(m.Result, "_meta"); ok && meta[0] == '{' {
		edit = mcp.SetPointer("/result/_meta/sallyport.dev~1segment", value)
	}
	edited, err := d.Apply(&m, edit)
	return edited.Result, err
}

func segmentVerifyCommand() *cobra.Command {
	var p place
	var keys string
	cmd := &cobra.Command{
		Use: "verify --keys KEYS --server NAME [--method METHOD] [--name NAME] RESULT.json", Short: "Say whether a segment is signed, and by which key", Args: cobra.ExactArgs(1),
		Long:    "Reads the JSON of a segment (- for standard input). KEYS is a file with a JWK set or public keys in PEM.\nExits with 0 if the signature is good and 1 if not.",
		Example: "  sallyport segment verify --keys crm.jwks --server crm --name triage result.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, err := p.resolve(cmd)
			if err != nil {
				return err
			}
			text, err := os.ReadFile(keys)
			if err != nil {
				return err
			}
			known, err := segment.ParseKeys(text)
			if err != nil {
				return fmt.Errorf("%s: %w", keys, err)
			}
			raw, err := readSegment(cmd, args[0])
			if err != nil {
				return err
			}
			meta, _ := mcp.Member(raw, "_meta")
			envelope, ok := mcp.Member(meta, segment.Key)
			if !ok {
				fmt.Fprintln(cmd.ErrOrStderr(), "there is no signature")
				return errNo
			}
			v := segment.Verifier{Keys: func(_ segment.About, id string) (out []segment.PublicKey) {
				for _, k := range known {
					if k.ID == id {
						out = append(out, k)
					}
				}
				return out
			}}
			k, err := v.Verify(about, raw, envelope)
			if err != nil {
				fmt.Fprintln(cmd.ErrOrStderr(), err)
				return errNo
			}
			var e segment.Envelope
			if err := json.Unmarshal(envelope, &e); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "signed with %s (%s) until %s\n", k.ID, k.Algorithm, time.Unix(e.Expires, 0).UTC().Format(time.RFC3339))
			return err
		},
	}
	p.flags(cmd)
	cmd.Flags().StringVar(&keys, "keys", "", "file with the public keys")
	_ = cmd.MarkFlagRequired("keys") // fails only for unknown flags
	return cmd
}

func segmentKeysCommand() *cobra.Command {
	return &cobra.Command{
		Use: "keys KEY.pem...", Short: "Print the JWK set of keys, for guards.segment.signers", Args: cobra.MinimumNArgs(1),
		Long:    "Reads private or public keys in PEM and prints their public halves. Nothing private is printed.",
		Example: "  sallyport segment keys now.pem next.pem > crm.jwks",
		RunE: func(cmd *cobra.Command, args []string) error {
			var all []segment.PublicKey
			for _, path := range args {
				text, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				if public, err := segment.ParseKeys(text); err == nil {
					all = append(all, public...)
					continue
				}
				private, err := segment.ParsePrivateKey(text)
				if err != nil {
					return fmt.Errorf("%s: %w", path, err)
				}
				k, err := segment.Public(private.Public())
				if err != nil {
					return err
				}
				all = append(all, k)
			}
			set, err := segment.MarshalKeys(all...)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", set)
			return err
		},
	}
}
