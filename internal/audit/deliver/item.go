package deliver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/mcp"
)

// Kind is what a line of the directory is.
type Kind string

// The kinds.
const (
	Receipt    Kind = "receipt"    // of one decision
	Record     Kind = "record"     // of the ledger itself: a segment's head or end, or receipts that are lost
	Checkpoint Kind = "checkpoint" // signed, for a second place
)

// Item is one line on its way to a sink.
type Item struct {
	Kind Kind
	// ID names the line for good: the same line has the same id however often it
	// comes, and no other has it.
	ID      string
	Replica string
	Seq     uint64     // of the receipt; of the last one before it for a record
	Hash    chain.Hash // the line's own, by which a copy is found in the log
	Time    time.Time
	Body    []byte // what is sent; JSON unless the sink's format says otherwise

	// Facts of the body as it was before its format. They are read only where a
	// filter, a format or a sink needs them.
	Facts Facts

	line []byte   // as it stands in the directory, without its end
	next Position // behind the line
}

// Facts are what filters and formats look at.
type Facts struct {
	Tenant, Server, Action, Reason, Guard, Record string
	Closed                                        string   // how an exchange ended, of a closing receipt
	Events                                        []string // kinds
	Lost                                          uint64   // receipts that a record says are lost
	Trouble                                       string   // what a segment's head says was wrong
	Severity                                      Severity
}

// shortHash is how much of a line's hash is in its id.
const shortHash = 8

// newItem takes a line apart as far as every sink needs it.
func newItem(line []byte, next Position) (*Item, error) {
	l, err := chain.Parse(line)
	if err != nil {
		return nil, fmt.Errorf("deliver: %w", err)
	}
	it := &Item{Kind: Receipt, Replica: l.Replica, Seq: l.Seq, Hash: l.Hash, Body: line, line: line, next: next}
	short := l.Hash.String()[:shortHash]
	if l.Record != "" {
		it.Kind = Record
		it.ID = l.Replica + "-" + l.Record + "-" + short
	} else {
		it.ID = l.Replica + "-" + strconv.FormatUint(l.Seq, 10) + "-" + short
	}
	it.Time = timeOf(line)
	return it, nil
}

// newCheckpoint makes an item of a line of the checkpoints.
func newCheckpoint(line []byte, next Position) (*Item, error) {
	c, err := chain.ParseCheckpoint(line)
	if err != nil {
		return nil, fmt.Errorf("deliver: a checkpoint %w", err)
	}
	return &Item{Kind: Checkpoint, ID: c.Replica + "-checkpoint-" + strconv.FormatUint(c.Number, 10) + "-" + chain.LineHash(line).String()[:8],
		Replica: c.Replica, Seq: c.Seq, Hash: chain.LineHash(line), Time: c.Time, Body: line, line: line, next: next,
		Facts: factsOf(Checkpoint, nil)}, nil
}

var timeKey = []byte(`"time":"`)

// timeOf reads when a line was made; its own member comes before any text that
// others chose.
func timeOf(line []byte) time.Time {
	i := bytes.Index(line, timeKey)
	if i < 0 {
		return time.Time{}
	}
	rest := line[i+len(timeKey):]
	end := bytes.IndexByte(rest, '"')
	if end < 0 {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, string(rest[:end]))
	if err != nil {
		return time.Time{}
	}
	return t
}

// factsOf reads the facts of a body that is JSON.
func factsOf(kind Kind, body []byte) Facts {
	var f Facts
	if kind == Checkpoint {
		f.Record = "checkpoint"
		return f
	}
	for key, value := range mcp.Members(body) {
		var to *string
		switch key {
		case "tenant":
			to = &f.Tenant
		case "server":
			to = &f.Server
		case "action":
			to = &f.Action
		case "reason":
			to = &f.Reason
		case "closed":
			to = &f.Closed
		case "guard":
			to = &f.Guard
		case "record":
			to = &f.Record
		case "trouble":
			to = &f.Trouble
		case "receipts_lost":
			f.Lost, _ = strconv.ParseUint(string(value), 10, 64) // the ledger wrote it
			continue
		case "events":
			var events []struct{ Kind string }
			if json.Unmarshal(value, &events) == nil {
				for _, e := range events {
					f.Events = append(f.Events, e.Kind)
				}
			}
			continue
		default:
			continue
		}
		_ = json.Unmarshal(value, to) // a masked one may be no text
	}
	f.Severity = severityOf(&f)
	return f
}
