package audit

import (
	"bytes"
	"io"
	"strconv"
	"time"
)

// batch collects lines for one write. After a write that failed, the next one
// begins with a line that says how many receipts are missing.
type batch struct {
	w     io.Writer
	buf   []byte
	lines uint64
	lost  uint64 // since the last write that succeeded
	torn  bool   // the last byte written is no line end
}

func (b *batch) add(line []byte) {
	b.buf = append(b.buf, line...)
	b.lines++
}

func (b *batch) size() int { return len(b.buf) }

// flush writes the lines, and returns how many are written and how many are
// lost for good. With nothing to write and nothing lost it does nothing.
func (b *batch) flush(now time.Time) (written, lost uint64, err error) {
	if b.lines == 0 && b.lost == 0 && !b.torn {
		return 0, 0, nil
	}
	text, notice := b.buf, 0
	if b.lost > 0 || b.torn {
		head := b.notice(now)
		notice = len(head)
		text = append(head, b.buf...)
	}
	n, err := b.w.Write(text)
	if err == nil && n < len(text) {
		err = io.ErrShortWrite
	}
	n = min(max(n, 0), len(text))
	written, lost = b.lines, 0
	if err != nil {
		written = uint64(bytes.Count(text[min(n, notice):n], []byte{'\n'}))
		lost = b.lines - written
	}
	if n >= notice {
		b.lost = 0 // it has been said
	}
	b.lost += lost
	if n > 0 {
		b.torn = text[n-1] != '\n'
	}
	b.buf, b.lines = b.buf[:0], 0
	if cap(b.buf) > 4*maxBatch {
		b.buf = nil
	}
	return written, lost, err
}

// notice is the line about what is missing. It ends the half line before it.
func (b *batch) notice(now time.Time) []byte {
	var out []byte
	if b.torn {
		out = append(out, '\n')
	}
	if b.lost == 0 {
		return out
	}
	out = append(out, `{"time":"`...)
	out = now.UTC().AppendFormat(out, time.RFC3339Nano)
	out = append(out, `","receipts_lost":`...)
	out = strconv.AppendUint(out, b.lost, 10)
	return append(out, "}\n"...)
}
