package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/audit/deliver"
	"github.com/sallyport/sallyport/internal/audit/ledger"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/config/notation"
)

// receipts keeps a receipt of every decision, in whatever way is configured.
type receipts interface {
	Under(audit.Form) guard.Observer
	Counts() (written, dropped, failed uint64)
	Trouble() error
	Close(context.Context) error
}

// observer is told of the decisions of one configuration.
func (g *Gateway) observer(cfg *config.Config) guard.Observer { return g.receipts.Under(g.form(cfg)) }

func (g *Gateway) form(cfg *config.Config) audit.Form {
	return audit.Form{
		Config: cfg.Revision(), Digest: int(cfg.Receipts.DigestUpTo), Keep: audit.Content(cfg.Receipts.Keep), Sealing: g.sealing(cfg.Receipts.Sealing),
		Names: g.names,
	}
}

// unpublished returns why checkpoints do not reach their second place; nil where they do,
// or have none.
func (g *Gateway) unpublished() error {
	if kept, ok := g.receipts.(*audit.Kept); ok {
		return kept.Unpublished()
	}
	return nil
}

// nameKey returns the key of the digests of names that are not in clear as a whole.
func nameKey(ref notation.SecretRef) ([]byte, error) {
	key, err := hashKey(ref)
	if err == nil && len(key) < 16 {
		err = errors.New("needs 16 bytes or more")
	}
	if err != nil {
		return nil, fmt.Errorf("receipts.uris.key: %w", err)
	}
	return key, nil
}

// openReceipts begins to keep receipts; needed tells what of them somebody has to
// read still, and sinks who. The function it returns closes what
// they were written to.
func openReceipts(c config.Receipts, s signing, stdout io.Writer, needed func() (uint64, bool), sinks func() []string, log *slog.Logger) (receipts, func() error, error) {
	if c.Directory != "" {
		kept, err := keepReceipts(c, s, needed, sinks, log)
		return kept, func() error { return nil }, err
	}
	out, closeOut, err := receiptWriter(c, stdout)
	if err != nil {
		return nil, nil, err
	}
	return audit.New(out, c.Queue, audit.WhenFull(c.WhenFull), log), closeOut, nil
}

func keepReceipts(c config.Receipts, s signing, needed func() (uint64, bool), sinks func() []string, log *slog.Logger) (receipts, error) {
	adopt := func(d *ledger.Deliveries) []string {
		return deliver.Adopt(&deliver.Options{Directory: c.Directory, Log: log, Now: time.Now, Key: s.key, Before: *d})
	}
	kept, err := audit.Keep(ledger.Options{
		Directory: c.Directory, SegmentSize: int64(c.SegmentSize), SegmentTime: c.SegmentTime, CheckpointEvery: c.CheckpointEvery,
		Key: s.key, Trust: s.before, Sinks: sinks, Adopt: adopt, Publish: c.Publish, Spool: max(c.Queue, 1024) << 10, Log: log, Now: time.Now,
		Retention: ledger.Retention{For: c.KeepFor, Needed: needed, Undelivered: c.KeepUndelivered},
	}, audit.WhenFull(c.WhenFull))
	if err != nil {
		return nil, fmt.Errorf("receipts.directory: %w", err)
	}
	return kept, nil
}

// receiptWriter opens where receipts go, for appending. A pipe that nobody reads
// is an error rather than a start that waits without a word.
func receiptWriter(c config.Receipts, stdout io.Writer) (io.Writer, func() error, error) {
	if c.Path == "stdout" {
		return stdout, func() error { return nil }, nil
	}
	f, err := os.OpenFile(c.Path, os.O_APPEND|os.O_CREATE|os.O_WRONLY|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("receipts.path: %w", err)
	}
	return f, f.Close, nil
}
