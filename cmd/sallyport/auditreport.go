package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/report"
)

func auditReportCommand() *cobra.Command {
	var (
		t                                  trust
		o                                  report.Options
		framework, path, format, out, into string
		others                             []string
	)
	cmd := &cobra.Command{
		Use:     "report DIR... --framework NAME -c FILE --key PUB.pem",
		Short:   "Say what the gateway contributes to the controls of a compliance framework, with evidence",
		Long:    "Maps the controls of a framework to the configuration, to receipts of a period with proofs, and to tests of this\ngateway, and says of each control what it needs beyond a gateway. Each claim has a pointer to evidence.\nFrameworks: " + strings.Join(report.IDs(), ", ") + ".\nA receipt is evidence where the configuration that decided says the same of the matter as FILE does.\nFrom a directory that is not proved to be as it was written nothing is attested: the answer is no, unless\n--allow-unverified is given, and then the report says so at its head.\nExits with 0 if the report is made, whatever it says, and 1 if not.",
		Example: "  sallyport audit report receipts-* --framework eu-ai-act -c sallyport.yaml --key sign.pub --since 2026-10-01T00:00:00Z > report.md\n  sallyport audit report receipts --framework iso-27001 -c sallyport.yaml --key sign.pub --format oscal -o results.json --proofs proofs",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := makeReport(framework, append([]string{path}, others...), args, t, &o)
			if err != nil {
				return err
			}
			if err := writeReport(cmd.OutOrStdout(), r, format, out); err != nil {
				return err
			}
			if into != "" {
				if err := os.MkdirAll(into, 0o700); err != nil {
					return fmt.Errorf("audit: report: %w", err)
				}
				return r.Proofs(func(name string, proof []byte) error { return os.WriteFile(filepath.Join(into, name), proof, 0o600) })
			}
			return nil
		},
	}
	t.flags(cmd)
	f := cmd.Flags()
	f.Func("framework", strings.Join(report.IDs(), ", "), oneOf(&framework, report.IDs()...))
	f.StringVarP(&path, "config", "c", "", "configuration that the controls are mapped to")
	f.StringArrayVar(&others, "other-config", nil, "another configuration that decided in the period: its decisions are evidence of what it says the same of; repeatable")
	f.Func("format", "md, html or oscal (OSCAL "+report.OSCALVersion+" assessment results, as JSON); md when absent", oneOf(&format, "md", "html", "oscal"))
	f.StringVarP(&out, "output", "o", "", "file to write; standard output when absent")
	f.StringVar(&into, "proofs", "", "folder for the proofs of the receipts that are shown")
	f.Func("since", "only receipts from this time on: RFC 3339, or an age such as 720h", moment(&o.Since))
	f.Func("until", "only receipts before this time", moment(&o.Until))
	f.IntVar(&o.Samples, "samples", 1, "receipts that are shown for each query")
	f.BoolVar(&o.Unverified, "allow-unverified", false, "report on directories that are not proved to be as they were written")
	for _, name := range []string{"framework", "config"} {
		_ = cmd.MarkFlagRequired(name) // fails only for unknown flags
	}
	return cmd
}

func makeReport(framework string, configs, dirs []string, t trust, o *report.Options) (*report.Report, error) {
	f, err := report.Load(framework)
	if err != nil {
		return nil, err
	}
	all := make([]report.Configuration, len(configs))
	for i, path := range configs {
		if all[i], err = readSettings(path); err != nil {
			return nil, err
		}
	}
	if o.Verify, err = t.options(); err != nil {
		return nil, err
	}
	o.Directories, o.Configuration, o.Others, o.Build, o.Now = dirs, all[0], all[1:], version(), time.Now()
	r, err := report.Make(f, *o)
	if errors.Is(err, report.ErrUnverified) && !errors.Is(err, report.ErrTwice) {
		if len(o.Verify.Keys) == 0 {
			return nil, fmt.Errorf("%w; give --key, or --allow-unverified for a report that says so", err)
		}
		return nil, fmt.Errorf("%w; --allow-unverified makes a report that says so", err)
	}
	return r, err
}

// readSettings reads a configuration that controls are mapped to.
func readSettings(path string) (c report.Configuration, err error) {
	cfg, err := config.Load(path, app.ConfigOptions())
	if err != nil {
		return c, err
	}
	c.File, c.Revision = filepath.Base(path), cfg.Revision()
	c.Settings, err = app.Settings(cfg)
	return c, err
}

func writeReport(stdout io.Writer, r *report.Report, format, path string) (err error) {
	to := stdout
	if path != "" {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("audit: report: %w", err)
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		to = f
	}
	switch format {
	case "html":
		return r.HTML(to)
	case "oscal":
		return r.OSCAL(to)
	}
	return r.Markdown(to)
}
