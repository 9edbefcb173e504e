package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/audit/keyring"
	"github.com/sallyport/sallyport/internal/audit/subject"
	"github.com/sallyport/sallyport/internal/audit/verify"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/config/notation"
)

// ringFlags say where the key ring of receipts is.
type ringFlags struct {
	config string
	keys   string
	wrap   []string
}

func (r *ringFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&r.config, "config", "c", "", "configuration whose receipts.sealing says where the keys are")
	cmd.Flags().StringVar(&r.keys, "keys", "", "folder of the key ring, in place of --config")
	cmd.Flags().StringArrayVar(&r.wrap, "wrap-with", nil, "with --keys: reference to a wrapping key, such as file:/run/secrets/wrap; repeatable, the first wraps")
	cmd.MarkFlagsMutuallyExclusive("config", "keys")
	cmd.MarkFlagsRequiredTogether("keys", "wrap-with")
}

// demand is flags, one of which has to be given.
func (r *ringFlags) demand(cmd *cobra.Command) {
	r.flags(cmd)
	cmd.MarkFlagsOneRequired("config", "keys")
}

func (r *ringFlags) given() bool { return r.config != "" || r.keys != "" }

var errNoRing = errors.New("audit: say where the keys are: --config, or --keys and --wrap-with")

// open opens the ring; the configuration is nil where flags say it.
func (r *ringFlags) open(ctx context.Context) (*keyring.Ring, *config.Config, error) {
	if !r.given() {
		return nil, nil, errNoRing
	}
	c := config.Sealing{Keys: r.keys}
	var cfg *config.Config
	if r.config != "" {
		var err error
		if cfg, err = config.Load(r.config, app.ConfigOptions()); err != nil {
			return nil, nil, err
		}
		if c = cfg.Receipts.Sealing; c.Keys == "" {
			return nil, cfg, fmt.Errorf("audit: %s has no receipts.sealing.keys: nothing is sealed", r.config)
		}
	}
	for _, text := range r.wrap {
		var ref notation.SecretRef
		if err := ref.UnmarshalText([]byte(text)); err != nil {
			return nil, nil, fmt.Errorf("audit: --wrap-with: %w", err)
		}
		c.WrapWith = append(c.WrapWith, ref)
	}
	ring, err := app.OpenKeyRing(ctx, c)
	return ring, cfg, err
}

func auditPayloadCommand() *cobra.Command {
	var (
		ring     ringFlags
		want     verify.Filter
		what     string
		requests string
	)
	cmd := &cobra.Command{
		Use:     "payload DIR|FILE (-c FILE | --keys DIR --wrap-with REF)",
		Short:   "Open what is sealed in receipts",
		Long:    "Prints, as JSON lines, what is sealed in the receipts that match all flags (receipts.sealing): who called,\nand content. It does not verify the receipts; a box that was moved or changed does not open.\nWith --requests it refuses a key ring that has keys which were destroyed.\nExits with 0 if all that was found opens and 1 if not.",
		Example: "  sallyport audit payload receipts -c sallyport.yaml --exchange 2f1c…\n  sallyport audit payload receipts -c sallyport.yaml --tenant acme --since 2h --what arguments",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, _, err := ring.open(cmd.Context())
			if err != nil {
				return err
			}
			if requests != "" {
				if err := alive(requests, r); err != nil {
					return err
				}
			}
			all, put := true, json.NewEncoder(legible(cmd.OutOrStdout()))
			put.SetEscapeHTML(false)
			n := 0
			err = verify.Query(args[0], want, func(at verify.Place, line []byte) (bool, error) {
				parts, err := audit.Unseal(line, r)
				if err != nil {
					return false, err
				}
				for i := range parts {
					if what != "" && parts[i].What != what {
						continue
					}
					n++
					all = all && parts[i].Err == nil
					if err := put.Encode(openedLine(at, line, &parts[i])); err != nil {
						return false, err
					}
				}
				return true, nil
			})
			if err != nil {
				return err
			}
			if n == 0 || !all {
				return errNo
			}
			return nil
		},
	}
	filterFlags(cmd, &want)
	ring.demand(cmd)
	cmd.Flags().Func("what", "only this part: identity, arguments, params or result", oneOf(&what, "identity", "arguments", "params", "result"))
	cmd.Flags().StringVar(&requests, "requests", "", "directory with the receipts of data-subject requests")
	return cmd
}

// opened is one part as it is printed.
type opened struct {
	File     string          `json:"file"`
	Line     uint64          `json:"line"`
	Seq      uint64          `json:"seq,omitempty"`
	Exchange string          `json:"exchange"`
	What     string          `json:"what"`
	As       string          `json:"as,omitempty"`
	Bytes    int             `json:"bytes,omitempty"`
	Content  json.RawMessage `json:"content,omitempty"`
	Text     string          `json:"text,omitempty"` // where the content is no JSON
	Error    string          `json:"error,omitempty"`
}

func openedLine(at verify.Place, line []byte, p *audit.Opened) opened {
	o := opened{File: at.File, Line: at.Line, What: p.What, As: p.As, Bytes: p.Bytes}
	_ = json.Unmarshal(line, &struct {
		Seq      *uint64 `json:"seq"`
		Exchange *string `json:"exchange"`
	}{&o.Seq, &o.Exchange}) // it was read before
	switch {
	case p.Err != nil:
		o.Error = p.Err.Error()
	case p.Plain == nil:
		o.Error = "it was too large to be kept"
	case json.Valid(p.Plain):
		o.Content = p.Plain
	default:
		o.Text = string(p.Plain)
	}
	return o
}

// alive refuses a ring that has destroyed keys.
func alive(requests string, r *keyring.Ring) error {
	back, err := subject.Resurrected(requests, func(id string) bool { _, err := r.Key(id); return err == nil })
	if err != nil {
		return err
	}
	if len(back) > 0 {
		return fmt.Errorf("audit: the key ring has keys that were destroyed, so a copy of it was put back: %s; `sallyport audit subject erase` destroys them again", strings.Join(back, ", "))
	}
	return nil
}

func auditKeysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "keys", Short: "Look after the keys that seal parts of receipts", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(keysListCommand(), keysRotateCommand(), keysRewrapCommand())
	return cmd
}

func keysListCommand() *cobra.Command {
	var ring ringFlags
	cmd := &cobra.Command{
		Use:     "list (-c FILE | --keys DIR --wrap-with REF)",
		Short:   "Print the keys of the ring and whose they are, as JSON lines",
		Long:    "Prints the keys of the ring and whose they are, as JSON lines, never the keys themselves. The id of a\nsubject's key is the pseudonym that receipts have.",
		Example: "  sallyport audit keys list -c sallyport.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, _, err := ring.open(cmd.Context())
			if err != nil {
				return err
			}
			var all []*keyring.Key
			r.Keys(func(k *keyring.Key) { all = append(all, k) })
			slices.SortFunc(all, func(a, b *keyring.Key) int { return strings.Compare(a.Created.String()+a.ID, b.Created.String()+b.ID) })
			out := json.NewEncoder(cmd.OutOrStdout())
			for _, k := range all {
				if err := out.Encode(keyLine(k)); err != nil {
					return err
				}
			}
			if n := r.Locked(); n > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "%d keys more are wrapped by a key that was not given\n", n)
			}
			return nil
		},
	}
	ring.demand(cmd)
	return cmd
}

// keyLine is a key as commands print it.
func keyLine(k *keyring.Key) any {
	return map[string]any{"id": k.ID, "owner": k.Owner, "created": k.Created}
}

func keysRotateCommand() *cobra.Command {
	var (
		ring   ringFlags
		tenant string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:     "rotate --tenant NAME (-c FILE | --keys DIR --wrap-with REF)",
		Short:   "Give a tenant a new key for what is sealed from now on",
		Long:    "Gives a tenant a new key for what is sealed from now on. What was sealed before stays readable. A running\ngateway follows within a second.",
		Example: "  sallyport audit keys rotate -c sallyport.yaml --tenant acme",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, _, err := ring.open(cmd.Context())
			if err != nil {
				return err
			}
			k, err := r.Rotate(cmd.Context(), keyring.TenantOf(tenant))
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(keyLine(k))
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), k.ID)
			return err
		},
	}
	ring.demand(cmd)
	cmd.Flags().StringVar(&tenant, "tenant", "", "whose key")
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer as JSON")
	_ = cmd.MarkFlagRequired("tenant") // fails only for unknown flags
	return cmd
}

func keysRewrapCommand() *cobra.Command {
	var (
		ring   ringFlags
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:     "rewrap (-c FILE | --keys DIR --wrap-with NEW --wrap-with OLD)",
		Short:   "Wrap all keys with the first wrapping key, so that the others can go",
		Long:    "Wraps all keys with the first wrapping key, so that the others can be destroyed. Whoever has an older\ncopy of the ring can read nothing with it from then on.",
		Example: "  sallyport audit keys rewrap --keys /var/lib/sallyport/keys --wrap-with file:/run/secrets/new --wrap-with file:/run/secrets/old",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, _, err := ring.open(cmd.Context())
			if err != nil {
				return err
			}
			n, err := r.Rewrap(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]int{"rewrapped": n})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d keys wrapped anew\n", n)
			return err
		},
	}
	ring.demand(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "answer as JSON")
	return cmd
}
