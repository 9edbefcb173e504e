// Package webhook sends receipts as JSON lines to a URL, signed so that whoever
// gets them knows whom they are from.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/audit/deliver"
	"github.com/sallyport/sallyport/internal/remote"
	"github.com/sallyport/sallyport/internal/sink/web"
)

// SignatureHeader carries when a body was signed, and its signature.
const SignatureHeader = "Sallyport-Signature"

// Options say where receipts go.
type Options struct {
	Client *remote.Client
	Secret func() (string, error) // of signatures; nil for none
	Now    func() time.Time
}

// Sink sends receipts.
type Sink struct {
	o    Options
	body bytes.Buffer
}

// New returns a sink. It connects when it is used.
func New(o Options) *Sink { return &Sink{o: o} }

// Deliver implements deliver.Sink.
func (s *Sink) Deliver(ctx context.Context, items []*deliver.Item) (deliver.Outcome, error) {
	s.body.Reset()
	for _, it := range items {
		s.body.Write(it.Body)
		s.body.WriteByte('\n')
	}
	header := http.Header{"Content-Type": {"application/x-ndjson"}}
	if s.o.Secret != nil {
		secret, err := s.o.Secret()
		if err != nil {
			return deliver.Outcome{}, fmt.Errorf("webhook: %w", err)
		}
		header.Set(SignatureHeader, Sign([]byte(secret), s.body.Bytes(), s.o.Now()))
	}
	r, err := s.o.Client.Post(ctx, "", header, s.body.Bytes())
	if err == nil {
		err = web.Check(r)
	}
	if err != nil {
		return deliver.Outcome{}, fmt.Errorf("webhook: %w", err)
	}
	return deliver.Outcome{}, nil
}

// Close implements deliver.Sink.
func (s *Sink) Close() error {
	s.o.Client.Close()
	return nil
}

// Sign returns the value of the header: t=SECONDS,v1=HEX, where HEX is the
// HMAC-SHA256 of the seconds, a dot and the body.
func Sign(secret, body []byte, at time.Time) string {
	t := strconv.FormatInt(at.Unix(), 10)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac(secret, t, body))
}

func mac(secret []byte, t string, body []byte) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(t))
	h.Write([]byte("."))
	h.Write(body)
	return h.Sum(nil)
}

// The errors of Verify.
var (
	ErrSignature = errors.New("webhook: the signature is not one of this body")
	ErrTime      = errors.New("webhook: the signature is too old, or of a time to come")
)

// Verify is what a receiver does. A body that is older than tolerance may be one
// that somebody recorded; one that is not may come twice, and its receipts have
// replica and seq to know them by.
func Verify(secret, body []byte, header string, now time.Time, tolerance time.Duration) error {
	var at, sig string
	for part := range strings.SplitSeq(header, ",") {
		switch key, value, _ := strings.Cut(part, "="); key {
		case "t":
			at = value
		case "v1":
			sig = value
		}
	}
	want, err := hex.DecodeString(sig)
	if err != nil || !hmac.Equal(want, mac(secret, at, body)) {
		return ErrSignature
	}
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return ErrSignature
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > tolerance || age < -tolerance {
		return ErrTime
	}
	return nil
}
