package chain

import (
	"encoding/json"
	"fmt"
	"time"
)

// How a segment began.
const (
	StartFirst       = "first"       // nothing was there
	StartRotated     = "rotated"     // the one before was full or old
	StartClean       = "clean"       // the gateway had been stopped in order
	StartInterrupted = "interrupted" // it had not
)

// How a segment was ended in order.
const (
	EndRotated = "rotated" // another follows
	EndClosed  = "closed"  // the gateway stopped
)

// Header is what the first line of a segment says. It binds the segment to the
// one before it, and tells of whatever was found wrong there.
type Header struct {
	Segment   uint64    `json:"segment"`
	Time      time.Time `json:"time"`
	Start     string    `json:"start"`
	Previous  *Previous `json:"previous,omitempty"`
	Recovered uint64    `json:"recovered,omitempty"` // receipts after this line that the process before had not written
	Trouble   string    `json:"trouble,omitempty"`   // why the directory cannot be as it was left

	// Sinks are those that had begun before this line, or were to begin at this start, in
	// order. Where the member is, what sinks remember is signed; nil was written before it was.
	Sinks *[]string `json:"sinks,omitempty"`
}

// Previous is the end of a segment as the start after it found it.
type Previous struct {
	Segment    uint64 `json:"segment"`
	Lines      uint64 `json:"lines"`
	Head       Hash   `json:"head"`
	TornBytes  int64  `json:"torn_bytes,omitempty"` // of a last line without an end, which counts for nothing
	TornSHA256 *Hash  `json:"torn_sha256,omitempty"`
}

// End is what the last line of a segment says.
type End struct {
	Time time.Time `json:"time"`
	Why  string    `json:"why"`
}

// Lost is what stands where receipts are missing.
type Lost struct {
	Time time.Time `json:"time"`
	Lost uint64    `json:"receipts_lost"`
}

// Removed says that all segments up to one were removed on purpose, and with them
// the receipts up to Seq.
type Removed struct {
	Time    time.Time `json:"time"`
	Segment uint64    `json:"through_segment"`
	Seq     uint64    `json:"through_seq"`
}

// AppendMembers continues a record with the members of v, a struct.
func AppendMembers(b []byte, v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return b, fmt.Errorf("chain: record: %w", err)
	}
	return append(append(b, ','), text[1:len(text)-1]...), nil
}

// Members reads the members of a record into v.
func (l *Line) Members(v any) error {
	text := append(append(make([]byte, 0, len(l.Text)+1), l.Text...), '}')
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("chain: record: %w", err)
	}
	return nil
}

// Before returns the hash of the line before a segment, as the segment's first line
// states it: none before the very first, or where nothing was found.
func (l *Line) Before() (head Hash) {
	if h := l.Header(); h.Previous != nil {
		head = h.Previous.Head
	}
	return head
}

// Header returns what the first line of a segment says; nothing for another line.
func (l *Line) Header() (h Header) {
	if l.Record != RecordSegment || l.Members(&h) != nil {
		return Header{}
	}
	return h
}
