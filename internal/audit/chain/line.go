package chain

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strconv"
)

// Line is one line of a segment, taken apart but not believed.
type Line struct {
	Text    []byte // what its hash is over, beside the hash before it
	Hash    Hash   // as the line states it
	Replica string
	Seq     uint64 // of the receipt; of the last one before it, for a record
	Record  string // what a line is that is no receipt; empty for receipts
}

// The records.
const (
	RecordSegment = "segment" // the first line of each segment
	RecordLost    = "lost"    // receipts are missing here, and how many
	RecordRemoved = "removed" // segments were removed, because they need be kept no longer
	RecordEnd     = "end"     // the last line of a segment that was ended in order
)

const (
	lineBegin  = `{"v":1,"replica":"`
	lineSeq    = `","seq":`
	lineAfter  = `","after":`
	lineRecord = `"record":"`
	lineHash   = `,"hash":"`
	sealLen    = len(lineHash) + 2*len(Hash{}) + len(`"}`)
)

// ReplicaLen is the length of a replica's name, which is lower-case hex.
const ReplicaLen = 16

// AppendReceipt begins the line of a receipt; its members follow.
func AppendReceipt(b []byte, replica string, seq uint64) []byte {
	b = append(append(append(b, lineBegin...), replica...), lineSeq...)
	return append(strconv.AppendUint(b, seq, 10), ',')
}

// AppendRecord begins the line of a record, after receipt seq.
func AppendRecord(b []byte, replica string, seq uint64, record string) []byte {
	b = append(append(append(b, lineBegin...), replica...), lineAfter...)
	b = append(strconv.AppendUint(b, seq, 10), ',')
	b = append(append(b, lineRecord...), record...)
	return append(b, '"')
}

// AppendSeal ends a line.
func AppendSeal(b []byte, h Hash) []byte {
	b = append(b, lineHash...)
	b = hex.AppendEncode(b, h[:])
	return append(b, "\"}\n"...)
}

var errLine = errors.New("is not a line of a receipt segment")

// Parse takes a line apart; it is without its line end. It looks at the
// members that the chain needs, at both ends of the line.
func Parse(line []byte) (Line, error) {
	var l Line
	cut := len(line) - sealLen
	if cut < 0 || !bytes.HasPrefix(line[cut:], []byte(lineHash)) || !bytes.HasSuffix(line, []byte(`"}`)) {
		return l, errLine
	}
	if err := l.Hash.UnmarshalText(line[cut+len(lineHash) : len(line)-2]); err != nil {
		return l, errLine
	}
	l.Text = line[:cut]
	rest, ok := bytes.CutPrefix(l.Text, []byte(lineBegin))
	if !ok || len(rest) < ReplicaLen || !isHex(rest[:ReplicaLen]) {
		return l, errLine
	}
	l.Replica, rest = string(rest[:ReplicaLen]), rest[ReplicaLen:]
	rest, isReceipt := bytes.CutPrefix(rest, []byte(lineSeq))
	if !isReceipt {
		if rest, ok = bytes.CutPrefix(rest, []byte(lineAfter)); !ok {
			return l, errLine
		}
	}
	if l.Seq, rest, ok = number(rest); !ok {
		return l, errLine
	}
	if isReceipt {
		return l, nil
	}
	if rest, ok = bytes.CutPrefix(rest, []byte(lineRecord)); !ok {
		return l, errLine
	}
	for _, r := range []string{RecordSegment, RecordLost, RecordRemoved, RecordEnd} {
		if bytes.HasPrefix(rest, []byte(r+`"`)) {
			l.Record = r
			return l, nil
		}
	}
	return l, errLine
}

// number reads a number as this package writes it, and the comma after it.
func number(b []byte) (n uint64, rest []byte, ok bool) {
	i := 0
	for i < len(b) && b[i] >= '0' && b[i] <= '9' && i < 19 {
		n = n*10 + uint64(b[i]-'0')
		i++
	}
	if i == 0 || i == len(b) || b[i] != ',' || i > 1 && b[0] == '0' {
		return 0, nil, false
	}
	return n, b[i+1:], true
}

func isHex(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
