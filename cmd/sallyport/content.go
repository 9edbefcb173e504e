package main

import (
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/inspect/lines"
)

func inspectCommand() *cobra.Command {
	var detector, path, policy string
	cmd := &cobra.Command{
		Use:     "inspect --detector pii|secrets|injection|url|sanitize|toolset [-c FILE]",
		Short:   "Say what the content detectors find in records",
		Long:    "Reads one JSON object a line from standard input and answers each with one line.\n\npii, secrets: {\"id\",\"channel\",\"text\" or \"text_b64\"} -> {\"id\",\"findings\":[{\"type\",\"start\",\"end\",\"score\"}]}\ninjection: {\"id\",\"channel\",\"text\"} -> {\"id\",\"injection\":0..1}\nurl: {\"id\",\"url\" or \"arg\",\"dns\",\"redirects\"} -> {\"id\",\"verdict\":\"allow\" or \"deny\"}\nsanitize: {\"id\",\"text\"} -> {\"id\",\"text\"}\ntoolset: {\"id\",\"before\",\"after\":[{\"server\",\"tools\"}]} -> {\"id\",\"verdict\":\"same\", \"changed\", \"added\", \"removed\" or \"shadowing\"}\n\nOffsets are bytes. Channel sse means that the text is an event stream. Nothing is looked up: names have the addresses\nthat the record's dns gives them.",
		Example: "  echo '{\"id\":1,\"text\":\"card 4111 1111 1111 1111\"}' | sallyport inspect --detector pii\n  sallyport inspect --detector url -c sallyport.yaml < urls.jsonl",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := app.Detector(detector, path, policy)
			if err != nil {
				return err
			}
			return lines.Answer(cmd.InOrStdin(), cmd.OutOrStdout(), d)
		},
	}
	cmd.Flags().Func("detector", "what to look for: pii, secrets, injection, url, sanitize or toolset", oneOf(&detector, "pii", "secrets", "injection", "url", "sanitize", "toolset"))
	cmd.Flags().StringVarP(&path, "config", "c", "", "configuration with recognisers and allow-list of your own")
	cmd.Flags().StringVar(&policy, "policy", "", "policy file for url, as in eval/testdata/ssrf/policy.json")
	_ = cmd.MarkFlagRequired("detector") // fails only for unknown flags
	return cmd
}
