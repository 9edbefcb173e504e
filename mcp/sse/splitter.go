// Package sse splits streams of server-sent events (WHATWG HTML, section 9.2)
// as they arrive, and writes events.
//
// A gateway has to see an event before a client does. It therefore reads all
// three line ends, where clients differ, and writes only one of them; and it
// never gives out an event whose closing blank line has not come.
package sse

import (
	"bytes"
	"errors"
)

// Errors of [Splitter.Push].
var (
	ErrTooLarge = errors.New("sse: push: event longer than the limit")
	ErrClosed   = errors.New("sse: push: the splitter is closed")
)

// DefaultMaxEvent is a size that every client is known to accept, in bytes:
// the Python SDK refuses longer events by default.
const DefaultMaxEvent = 1 << 20

// maxIdle is the memory that an idle splitter may keep, in bytes.
const maxIdle = 64 << 10

// Splitter splits one stream. It is for one goroutine. Its memory is bounded
// by the event limit and the largest chunk.
type Splitter struct {
	max   int
	err   error // why there is no more to come
	carry []byte
	parse parse
	first bool // no line was complete yet; the first may begin with a byte order mark
	cr    bool // the stream so far ends in CR, so a LF that follows belongs to it
}

// parse is how far the text of the current event, which begins at offset 0,
// has been read.
type parse struct {
	line    int  // offset of the first line that is not complete
	seen    int  // where to go on looking for its end
	pending bool // there were fields

	event   Event
	data    span // of the first data line
	several bool // more data lines came; they are joined in joined
	joined  []byte
}

type span struct{ start, end int }

// NewSplitter returns a splitter for a new stream. maxEvent is the most bytes
// that one event may take in the stream, line ends and all; zero or less means
// [DefaultMaxEvent].
func NewSplitter(maxEvent int) *Splitter {
	if maxEvent <= 0 {
		maxEvent = DefaultMaxEvent
	}
	return &Splitter{max: maxEvent, first: true}
}

// Push takes the next bytes of the stream and yields the events and comments
// that they complete, in order. Comments come at once, even in the middle of
// an event, so that keep-alives pass. Data and Comment point into chunk or the
// splitter and are valid until yield returns; yield must not call the splitter.
//
// Fields that the standard ignores are left out: unknown ones, an id with NUL,
// a retry that is no number. A leading byte order mark is stripped, as the
// standard says, and so never reaches clients that would choke on it.
//
// After an error, of yield or [ErrTooLarge], every further Push returns it.
func (s *Splitter) Push(chunk []byte, yield func(Event) error) error {
	if s.err != nil || len(chunk) == 0 {
		return s.err
	}
	text, owned := chunk, len(s.carry) > 0
	if owned {
		s.carry = append(s.carry, chunk...)
		text = s.carry
	}
	rest, err := s.read(text, yield)
	if err == nil && len(rest) > s.max {
		err = ErrTooLarge
	}
	if err != nil {
		s.fail(err)
		return err
	}
	switch {
	case len(rest) == 0 && cap(s.carry) > maxIdle:
		s.carry = nil
	case owned:
		s.carry = s.carry[:copy(s.carry, rest)]
	default:
		s.carry = append(s.carry[:0], rest...)
	}
	return nil
}

// Close ends the stream. It returns how many bytes of an incomplete event or
// line were dropped; they are never delivered.
func (s *Splitter) Close() (dropped int) {
	dropped = len(s.carry)
	s.fail(ErrClosed)
	return dropped
}

func (s *Splitter) fail(err error) {
	s.err, s.carry, s.parse = err, nil, parse{}
}

// read goes through the lines of text, which begins with the current event,
// and returns what does not make a whole event.
func (s *Splitter) read(text []byte, yield func(Event) error) (rest []byte, err error) {
	lf := -1 // next LF; found once for many lines, should they end in CR
	for {
		p := &s.parse
		if s.cr && p.line < len(text) {
			s.cr = false
			if text[p.line] == '\n' {
				p.line++
				p.seen = max(p.seen, p.line)
				if !p.pending {
					text, lf = s.drop(text, lf)
				}
				continue
			}
		}
		if lf < p.seen {
			if lf = bytes.IndexByte(text[p.seen:], '\n'); lf >= 0 {
				lf += p.seen
			} else {
				lf = len(text)
			}
		}
		end := lf
		if i := bytes.IndexByte(text[p.seen:lf], '\r'); i >= 0 {
			end = p.seen + i
		}
		if end == len(text) {
			p.seen = end
			return text, nil
		}
		line := text[p.line:end]
		offset := p.line
		s.cr = text[end] == '\r'
		p.line, p.seen = end+1, end+1
		if s.first {
			s.first = false
			if trimmed, ok := bytes.CutPrefix(line, []byte("\ufeff")); ok {
				line, offset = trimmed, offset+3
			}
		}
		if p.line > s.max {
			return nil, ErrTooLarge
		}
		switch {
		case len(line) == 0:
			if e := p.finish(text); !e.isEmpty() {
				if err := yield(e); err != nil {
					return nil, err
				}
			}
			joined := p.joined[:0]
			if cap(joined) > maxIdle {
				joined = nil
			}
			s.parse = parse{line: p.line, seen: p.seen, joined: joined}
		case line[0] == ':':
			if err := yield(Event{Comment: line[1:len(line):len(line)]}); err != nil {
				return nil, err
			}
		default:
			p.field(text, line, offset)
		}
		if !s.parse.pending {
			text, lf = s.drop(text, lf)
		}
	}
}

// drop forgets the text before the current line, which no event needs.
func (s *Splitter) drop(text []byte, lf int) ([]byte, int) {
	n := s.parse.line
	s.parse.line, s.parse.seen = 0, s.parse.seen-n
	return text[n:], lf - n
}

// field takes one line, whose first byte is at offset in text.
func (p *parse) field(text, line []byte, offset int) {
	name, value, found := bytes.Cut(line, []byte(":"))
	offset += len(name)
	if found {
		offset++
		if len(value) > 0 && value[0] == ' ' {
			value, offset = value[1:], offset+1
		}
	}
	switch string(name) {
	case "data":
		p.addData(text, value, offset)
	case "event":
		p.event.Type = "message" // what it nearly always is, at no cost
		if string(value) != p.event.Type {
			p.event.Type = string(value)
		}
	case "id":
		if bytes.IndexByte(value, 0) >= 0 {
			return
		}
		p.event.ID, p.event.HasID = string(value), true
	case "retry":
		if !isNumber(value) {
			return
		}
		p.event.Retry = string(value)
	default:
		return
	}
	p.pending = true
}

// addData remembers the first data line by its place, so that a single one is
// never copied, and joins the others to it.
func (p *parse) addData(text, value []byte, offset int) {
	switch {
	case p.data.end == 0:
		p.data = span{offset, offset + len(value)}
		return
	case !p.several:
		p.several = true
		p.joined = append(p.joined[:0], text[p.data.start:p.data.end]...)
	}
	p.joined = append(append(p.joined, '\n'), value...)
}

// finish returns the event. Its data is not nil when there was a data line,
// because the name of the field makes its end more than zero.
func (p *parse) finish(text []byte) Event {
	e := p.event
	switch {
	case p.several:
		e.Data = p.joined[:len(p.joined):len(p.joined)]
	case p.data.end > 0:
		e.Data = text[p.data.start:p.data.end:p.data.end]
	}
	return e
}

// isNumber reports whether b is a decimal number that fits 64 bits.
func isNumber(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0 && len(b) <= 18
}
