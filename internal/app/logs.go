package app

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/telemetry"
)

func logger(c config.Log) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return nil, fmt.Errorf("log.level: %q is not debug, info, warn or error", c.Level)
	}
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(telemetry.WithTraces(slog.NewJSONHandler(os.Stderr, o))), nil
	}
	return slog.New(telemetry.WithTraces(slog.NewTextHandler(os.Stderr, o))), nil
}
