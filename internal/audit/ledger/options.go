// Package ledger keeps receipts in a directory so that nobody can change them
// unseen: segments of chained lines, and checkpoints that are signed.
package ledger

import (
	"crypto/ed25519"
	"log/slog"
	"time"

	"github.com/sallyport/sallyport/internal/audit/chain"
)

// Options say where and how a ledger is kept.
type Options struct {
	Directory       string                     // one process at a time
	SegmentSize     int64                      // a segment ends when it is larger
	SegmentTime     time.Duration              // or older
	CheckpointEvery time.Duration              // how long lines may wait for a signature
	Key             ed25519.PrivateKey         // signs checkpoints
	Trust           chain.Keys                 // that signed before it
	Sinks           func() []string            // that are delivered to; nil for a writer that delivers to none. Called by the goroutine that writes
	Adopt           func(*Deliveries) []string // called when the log is from before what sinks remember was signed, and before a line says otherwise: signs it, and names the sinks. May be nil
	Publish         string                     // file for a second copy of the checkpoints; empty for none
	Spool           int                        // bytes for receipts that wait to be written
	Retention       Retention                  // how long segments stay
	Log             *slog.Logger
	Now             func() time.Time
}

// Names of the files in a directory.
const (
	CheckpointFile = "checkpoints.jsonl"
	segmentPrefix  = "segment-"
	segmentSuffix  = ".jsonl"
	spoolFile      = "spool"
	lockFile       = "lock"
)
