package subject

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sallyport/sallyport/internal/audit/ledger"
	"github.com/sallyport/sallyport/internal/audit/verify"
)

// Kinds of requests.
const (
	KindFind   = "find"
	KindExport = "export"
	KindErase  = "erase"
)

// Record is the receipt of one request. It names subjects by pseudonym, so that it
// does not keep what an erasure takes away.
type Record struct {
	Time       time.Time `json:"time"`
	Request    string    `json:"request"`
	By         string    `json:"by"`
	Why        string    `json:"why,omitempty"`
	Tenant     string    `json:"tenant,omitempty"`
	Pseudonyms []string  `json:"pseudonyms,omitempty"`
	Subject    string    `json:"subject,omitempty"` // where receipts name it in clear
	Also       []string  `json:"also,omitempty"`    // likewise
	Destroyed  []string  `json:"keys_destroyed,omitempty"`
	Receipts   int       `json:"receipts"`
	InClear    int       `json:"in_clear"` // of them, which no key makes unreadable
	Over       []Source  `json:"over"`
}

// Book is where records are kept: a receipt directory of its own.
type Book struct {
	ledger *ledger.Ledger
	broken error
}

// OpenBook opens the directory for one record. It must be closed by Keep or
// Leave.
func OpenBook(dir string, key ed25519.PrivateKey, log *slog.Logger) (*Book, error) {
	l, err := ledger.Open(ledger.Options{
		Directory: dir, SegmentSize: 64 << 20, SegmentTime: 365 * 24 * time.Hour, CheckpointEvery: time.Second, Key: key, Spool: 1 << 20, Log: log, Now: time.Now,
	})
	if err != nil {
		return nil, fmt.Errorf("subject: %w", err)
	}
	return &Book{ledger: l}, nil
}

// Keep writes and signs a record, and closes the book.
func (b *Book) Keep(r *Record) error {
	r.Time = r.Time.UTC()
	text, err := json.Marshal(r)
	if err == nil {
		err = b.ledger.Spool().Put(text[1 : len(text)-1])
	}
	return errors.Join(err, b.Leave())
}

// Leave closes the book.
func (b *Book) Leave() error {
	quit := make(chan struct{})
	close(quit)
	if err := b.ledger.Run(quit, b); err != nil {
		return fmt.Errorf("subject: %w", err)
	}
	return b.broken
}

// Lost and Wrote make a Book the monitor of its ledger.
func (b *Book) Lost() uint64 { return 0 }

// Published has nothing to tell: a book is published nowhere.
func (b *Book) Published(error) {}

// Wrote notes why a record was not written.
func (b *Book) Wrote(_ uint64, err error) { b.broken = err }

// Resurrected returns the keys that the records of a directory say were destroyed,
// and that a ring has all the same: somebody put a copy of it back.
func Resurrected(dir string, has func(id string) bool) (ids []string, err error) {
	err = verify.Query(dir, verify.Filter{}, func(_ verify.Place, line []byte) (bool, error) {
		var r Record
		if json.Unmarshal(line, &r) == nil {
			for _, id := range r.Destroyed {
				if has(id) {
					ids = append(ids, id)
				}
			}
		}
		return true, nil
	})
	return ids, err
}
