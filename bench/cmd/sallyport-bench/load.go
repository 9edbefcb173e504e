package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/bench/client"
	"github.com/sallyport/sallyport/bench/compare"
	"github.com/sallyport/sallyport/bench/load"
)

func loadCommand() *cobra.Command {
	var p load.Plan
	var tool, arguments, expect, era, ca, out string
	cfg := client.Config{}
	cmd := &cobra.Command{
		Use:   "load --url URL --tool NAME",
		Short: "Call a tool of an MCP server of yours again and again",
		Long: "Calls one tool of any MCP server, through any gateway, and prints rate, latencies and errors.\n" +
			"Only do this to servers that are yours: it is a load test.",
		Example: "  sallyport-bench load --url http://127.0.0.1:8080/mcp/crm --tool find_customers --arguments '{\"query\":\"acme\"}'\n" +
			"  sallyport-bench load --url https://mcp.test/mcp/crm --tool find_customers -H 'Authorization: Bearer ...' --rate 200 -d 1m",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cfg.URL == "" || tool == "" {
				return misuse{errors.New("--url and --tool are needed")}
			}
			var err error
			if cfg.Revision, err = revision(era); err != nil {
				return err
			}
			if cfg.TLS, err = trust(ca); err != nil {
				return err
			}
			for _, h := range cfg.Headers {
				if name, value, ok := strings.Cut(h, ":"); !ok || name == "" || strings.ContainsAny(name+value, "\r\n") {
					return misuse{errors.New("--header: write Name: value")}
				}
			}
			call, err := client.ToolCall(tool, json.RawMessage(arguments))
			if err != nil {
				return err
			}
			call.Expect = []byte(expect)
			r, err := compare.Load(cmd.Context(), p, cfg, call)
			if err != nil {
				return err
			}
			if err := saveJSON(out, r); err != nil {
				return err
			}
			if err := r.Table(cmd.OutOrStdout()); err != nil {
				return err
			}
			return failed(r.Errors)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&cfg.URL, "url", "", "where the server is: http(s)://host/path")
	fs.StringVar(&tool, "tool", "", "tool to call")
	fs.StringVar(&arguments, "arguments", "{}", "its arguments, a JSON object")
	fs.StringVar(&expect, "expect", "", "text that each result must contain, as it stands in the JSON; default: any result without isError")
	fs.StringArrayVarP(&cfg.Headers, "header", "H", nil, "header to send along, as 'Name: value'; may be repeated")
	fs.StringVar(&ca, "ca", "", "PEM `file` of the authorities to trust instead of the system's")
	fs.DurationVar(&cfg.Timeout, "timeout", 10*time.Second, "how long a call may take")
	fs.IntVarP(&p.Connections, "concurrency", "c", 16, "connections, each with one call at a time")
	fs.DurationVarP(&p.Duration, "duration", "d", 10*time.Second, "measured time")
	fs.DurationVar(&p.Warmup, "warmup", time.Second, "time before it that does not count")
	fs.Float64Var(&p.Rate, "rate", 0, "calls per second over all connections (open loop); 0: as many as possible (closed loop)")
	fs.StringVar(&out, "json", "", "also write the result to this `file`")
	eraFlag(cmd, &era)
	return cmd
}

func trust(file string) (*tls.Config, error) {
	if file == "" {
		return nil, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("--ca: %s holds no certificate", file)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}
