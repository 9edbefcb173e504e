// Package elastic sends receipts to Elasticsearch or OpenSearch in bulk. The id
// of a document is that of its line, so that what comes again changes nothing.
package elastic

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/internal/audit/deliver"
	"github.com/sallyport/sallyport/internal/remote"
	"github.com/sallyport/sallyport/internal/sink/web"
)

// Options say where receipts go.
type Options struct {
	Client *remote.Client // at the root of the cluster
	Index  string         // documents go to Index-2026.11.26, by the day of the receipt
	User   string         // with Password, unless APIKey is set
	// Password and APIKey are read whenever they are needed; nil for none.
	Password, APIKey func() (string, error)
}

// Sink sends receipts.
type Sink struct {
	o    Options
	body bytes.Buffer
	made map[string]bool // indices that are there, with the mapping that this sink or somebody else gave them
}

// New returns a sink. It connects when it is used.
func New(o Options) *Sink { return &Sink{o: o, made: make(map[string]bool)} }

// Deliver implements deliver.Sink.
func (s *Sink) Deliver(ctx context.Context, items []*deliver.Item) (deliver.Outcome, error) {
	header := http.Header{}
	if err := s.authorise(header); err != nil {
		return deliver.Outcome{}, err
	}
	s.body.Reset()
	for _, it := range items {
		at := it.Time
		if at.IsZero() {
			at = time.Unix(0, 0)
		}
		index := s.o.Index + at.UTC().Format("-2006.01.02")
		if err := s.make(ctx, index, header); err != nil {
			return deliver.Outcome{}, err
		}
		s.body.WriteString(`{"create":{"_index":`)
		s.body.WriteString(strconv.Quote(index))
		s.body.WriteString(`,"_id":`)
		s.body.WriteString(strconv.Quote(it.ID))
		s.body.WriteString("}}\n")
		s.body.Write(it.Body)
		s.body.WriteByte('\n')
	}
	header.Set("Content-Type", "application/x-ndjson")
	r, err := s.o.Client.Post(ctx, "_bulk", header, s.body.Bytes())
	if err == nil {
		err = web.Check(r)
	}
	if err != nil {
		return deliver.Outcome{}, fmt.Errorf("elastic: %w", err)
	}
	return outcome(r.Body, len(items))
}

// mapping says what the members are whose form callers choose: the id of a message,
// which may be a number or a text, and content. An index that guesses takes the first
// document of the day for the form of all: by an id, or a tool that is called like a
// date, one caller could have every receipt after it refused.
const mapping = `{"mappings":{"date_detection":false,"numeric_detection":false,"properties":{` + times + theirs +
	`,"unmapped":{"properties":{"receipt":{"properties":{` + times + theirs + `}}}}}}}`

const (
	times  = `"time":{"type":"date"},"auth_time":{"type":"date"},"expires":{"type":"date"},`
	theirs = `"id":{"type":"keyword","ignore_above":1024},"arguments":{"type":"object","enabled":false},"params":{"type":"object","enabled":false}`
)

// make makes an index. One that is there is somebody's, and whoever may not make any
// has others that do: then theirs counts.
func (s *Sink) make(ctx context.Context, index string, header http.Header) error {
	if s.made[index] {
		return nil
	}
	header.Set("Content-Type", "application/json")
	r, err := s.o.Client.Put(ctx, index, header, []byte(mapping))
	if err != nil {
		return fmt.Errorf("elastic: %w", err)
	}
	switch r.Status {
	case http.StatusBadRequest, http.StatusForbidden:
	default:
		if err := web.Check(r); err != nil {
			return fmt.Errorf("elastic: index %s: %w", index, err)
		}
	}
	s.made[index] = true
	return nil
}

func (s *Sink) authorise(h http.Header) error {
	switch {
	case s.o.APIKey != nil:
		key, err := s.o.APIKey()
		if err != nil {
			return fmt.Errorf("elastic: api_key: %w", err)
		}
		h.Set("Authorization", "ApiKey "+key)
	case s.o.Password != nil:
		password, err := s.o.Password()
		if err != nil {
			return fmt.Errorf("elastic: password: %w", err)
		}
		h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(s.o.User+":"+password)))
	}
	return nil
}

// reply is that of the bulk interface, as far as it matters.
type reply struct {
	Errors bool
	Items  []struct {
		Create struct {
			Status int
			Error  json.RawMessage
		}
	}
}

// outcome reads what became of each document.
func outcome(body []byte, n int) (out deliver.Outcome, err error) {
	var r reply
	if err := json.Unmarshal(body, &r); err != nil {
		return out, fmt.Errorf("elastic: the reply cannot be read: %w", err)
	}
	if len(r.Items) != n {
		return out, fmt.Errorf("elastic: the reply is about %d of %d documents", len(r.Items), n)
	}
	for i := range r.Items {
		c := &r.Items[i].Create
		switch {
		case c.Status/100 == 2, c.Status == http.StatusConflict: // it is there already
		case c.Status == http.StatusBadRequest:
			out.Refused = append(out.Refused, deliver.Refusal{Index: i, Why: "elastic: " + web.Words(c.Error)})
		default:
			out.Again = append(out.Again, i)
			out.Why = errors.New("elastic: status " + strconv.Itoa(c.Status) + ": " + web.Words(c.Error))
		}
	}
	return out, nil
}

// Close implements deliver.Sink.
func (s *Sink) Close() error {
	s.o.Client.Close()
	return nil
}
