package client

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"github.com/sallyport/sallyport/bench/jsonscan"
)

// check says whether the reply in c.in answers the last request, and how.
func (c *Conn) check(expect []byte) error {
	message, ok := c.message()
	if c.head.Status != 200 {
		kind := "http_" + strconv.Itoa(c.head.Status)
		if code := jsonscan.Get(jsonscan.Get(message, "error"), "code"); code != nil {
			kind += "_rpc_" + string(code)
		}
		// With 404 a server of the session era says that the session is gone.
		return &Error{kind, c.head.Status == 404 && c.session != "", fmt.Errorf("reply: %s", start(c.in))}
	}
	if !ok {
		return &Error{"bad_reply", false, fmt.Errorf("no response in %s", start(c.in))}
	}
	var result, failure []byte
	own := false
	whole := jsonscan.Members(message, func(name, value []byte) bool {
		switch string(name) {
		case "id":
			id, err := strconv.ParseInt(string(value), 10, 64)
			own = err == nil && id == c.id
		case "result":
			result = value
		case "error":
			failure = value
		}
		return true
	})
	switch {
	case !whole:
		return &Error{"bad_reply", false, fmt.Errorf("no JSON object in %s", start(message))}
	case !own:
		return &Error{"wrong_id", false, fmt.Errorf("asked as %d: %s", c.id, start(message))}
	case failure != nil:
		return &Error{"rpc_" + string(jsonscan.Get(failure, "code")), false, fmt.Errorf("reply: %s", start(message))}
	case result == nil:
		return &Error{"bad_reply", false, fmt.Errorf("neither result nor error: %s", start(message))}
	}
	if len(expect) > 0 {
		if !bytes.Contains(result, expect) {
			return &Error{"wrong_content", false, fmt.Errorf("result: %s", start(result))}
		}
		return nil
	}
	if string(jsonscan.Get(result, "isError")) == "true" {
		return &Error{"tool_error", false, fmt.Errorf("result: %s", start(result))}
	}
	return nil
}

// message returns the JSON-RPC response in c.in: all of it, or the last event
// of a stream, which a response must be. It is valid until the next reply.
func (c *Conn) message() ([]byte, bool) {
	if !c.events {
		return c.in, len(c.in) > 0
	}
	c.last = nil
	c.whole.reset()
	_ = c.whole.push(c.in, 0, c.keep) // keep returns no error
	return c.last, c.last != nil
}

func start(b []byte) []byte { return b[:min(len(b), 200)] }

// eventReader finds events in a byte stream. It is simpler than a gateway's: of
// each event it keeps the data, joined, and the time its first byte came.
type eventReader struct {
	line  []byte // incomplete
	data  []byte
	any   bool
	begun bool
	first int64
}

// reset forgets an event that was not completed.
func (r *eventReader) reset() { r.line, r.any, r.begun = r.line[:0], false, false }

// push takes the next piece, which came at a time, and calls each for every
// event that it completes. The data is valid until the next event.
func (r *eventReader) push(piece []byte, at int64, each func(data []byte, first int64) error) error {
	for len(piece) > 0 {
		if !r.begun {
			r.begun, r.first = true, at
		}
		end := bytes.IndexByte(piece, '\n')
		if end < 0 {
			r.line = append(r.line, piece...)
			return nil
		}
		line := piece[:end]
		if len(r.line) > 0 {
			r.line = append(r.line, line...)
			line = r.line
		}
		piece = piece[end+1:]
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) == 0 {
			had := r.any
			r.any, r.begun = false, false
			if had {
				if err := each(r.data, r.first); err != nil {
					return err
				}
			}
		} else if value, ok := bytes.CutPrefix(line, []byte("data:")); ok {
			value = bytes.TrimPrefix(value, []byte(" "))
			if r.any {
				r.data = append(append(r.data, '\n'), value...)
			} else {
				r.data = append(r.data[:0], value...)
			}
			r.any = true
		}
		r.line = r.line[:0]
	}
	return nil
}

var errNoResponse = errors.New("the stream ended without the response")
