package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/internal/inspect/lines"
	"github.com/sallyport/sallyport/internal/inspect/recogniser"
)

func inspectCommand() *cobra.Command {
	var detector string
	cmd := &cobra.Command{
		Use:     "inspect --detector pii|secrets",
		Short:   "Say what the content detectors find in records",
		Long:    "Reads one JSON object a line from standard input and answers each with one line.\n\npii, secrets: {\"id\",\"channel\",\"text\" or \"text_b64\"} -> {\"id\",\"findings\":[{\"type\",\"start\",\"end\",\"score\"}]}",
		Example: "  echo '{\"id\":1,\"text\":\"card 4111 1111 1111 1111\"}' | sallyport inspect --detector pii",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := newDetector(detector)
			if err != nil {
				return err
			}
			return lines.Answer(cmd.InOrStdin(), cmd.OutOrStdout(), d)
		},
	}
	cmd.Flags().StringVar(&detector, "detector", "", "what to look for: pii or secrets")
	_ = cmd.MarkFlagRequired("detector") // fails only for unknown flags
	return cmd
}

func newDetector(name string) (lines.Detector, error) {
	switch name {
	case "pii":
		return lines.NewContent(recogniser.PII)
	case "secrets":
		return lines.NewContent(recogniser.Secret)
	}
	return nil, fmt.Errorf("there is no detector %q", name)
}
