package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/config"
)

func healthCommand() *cobra.Command {
	var (
		path    string
		ready   bool
		timeout time.Duration
	)
	cmd := &cobra.Command{
		Use:     "health -c FILE",
		Short:   "Ask the gateway that runs with this configuration whether it is well",
		Long:    "Asks /healthz of the admin interface that the configuration names, or with --ready /readyz:\nhas an Envoy accepted what the gateway gave it? For health checks of images without a shell.\nExits with 0 if the answer is yes and 1 if not.",
		Example: "  sallyport health -c sallyport.yaml --ready",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(path, app.ConfigOptions())
			if err != nil {
				return err
			}
			if cfg.Admin.Address.Port() == 0 {
				return errors.New("health: admin.address has port 0, which another process cannot know")
			}
			page := "/healthz"
			if ready {
				page = "/readyz"
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return ask(ctx, cmd.OutOrStdout(), "http://"+cfg.Admin.Address.String()+page)
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&ready, "ready", false, "ask whether requests can be served, not only whether the process lives")
	cmd.Flags().DurationVar(&timeout, "timeout", 3*time.Second, "how long to wait for the answer")
	return cmd
}

// ask copies the page to out, and says no if its status is not 200.
func ask(ctx context.Context, out io.Writer, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(out, io.LimitReader(resp.Body, 64<<10)); err != nil {
		return fmt.Errorf("health: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return errNo
	}
	return nil
}
