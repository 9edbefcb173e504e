package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"

	"github.com/sallyport/sallyport/extproc"
	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/audit/ledger"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/telemetry"
)

// judgeCommand is the gateway's judging service by itself, which alone can be had
// without receipts: a gateway always keeps them.
func judgeCommand() *cobra.Command {
	var config, receipts string
	cmd := role("judge", "Serve the gateway's ext_proc service alone, with or without receipts",
		"Serves ext_proc as a gateway with this configuration does, and nothing else. For tests only.",
		func(ctx context.Context, ln net.Listener) error { return judge(ctx, ln, config, receipts) })
	cmd.Flags().StringVar(&config, "config", "", "`file` with the gateway's configuration")
	cmd.Flags().StringVar(&receipts, "receipts", "", "`folder` for receipts, chained and signed; none are kept when empty")
	_ = cmd.MarkFlagRequired("config") // it exists
	return cmd
}

func judge(ctx context.Context, ln net.Listener, config, receipts string) (err error) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // as the gateway does
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	metrics, err := telemetry.New(nil, nil)
	if err != nil {
		return err
	}
	observers := []guard.Observer{metrics.Under(nil, 1, false)}
	if receipts != "" {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return err
		}
		kept, err := audit.Keep(ledger.Options{
			Directory: filepath.Clean(receipts), SegmentSize: 64 << 20, SegmentTime: 24 * time.Hour, CheckpointEvery: 10 * time.Second,
			Key: key, Spool: 8 << 20, Log: log, Now: time.Now,
		}, audit.Block)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, kept.Close(context.WithoutCancel(ctx))) }()
		observers = append([]guard.Observer{kept.Under(audit.Form{Config: "bench", Digest: 64 << 10, Keep: audit.NoContent})}, observers...)
	}
	snap, err := app.Snapshot(config, observers...)
	if err != nil {
		return fmt.Errorf("judge: %w", err)
	}
	g := grpc.NewServer(grpc.NumStreamWorkers(256), grpc.WaitForHandlers(true), grpc.MaxConcurrentStreams(1<<20))
	extproc.New(gate.NewHolder(snap), log, nil).Register(g)
	stop := context.AfterFunc(ctx, g.Stop)
	defer stop()
	return g.Serve(ln)
}

// sinkCommand takes what telemetry sends, and forgets it.
func sinkCommand() *cobra.Command {
	return role("sink", "Serve a receiver of OTLP traces that forgets them", "Takes whatever is sent. For tests only.",
		func(ctx context.Context, ln net.Listener) error {
			g := grpc.NewServer()
			collectorv1.RegisterTraceServiceServer(g, sink{})
			stop := context.AfterFunc(ctx, g.Stop)
			defer stop()
			return g.Serve(ln)
		})
}

type sink struct {
	collectorv1.UnimplementedTraceServiceServer
}

// Export implements OTLP.
func (sink) Export(context.Context, *collectorv1.ExportTraceServiceRequest) (*collectorv1.ExportTraceServiceResponse, error) {
	return &collectorv1.ExportTraceServiceResponse{}, nil
}
