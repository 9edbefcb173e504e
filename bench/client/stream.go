package client

import (
	"errors"
	"io"

	"github.com/sallyport/sallyport/bench/echo"
	"github.com/sallyport/sallyport/bench/jsonscan"
)

// Stream makes the call once and calls each for every event before the
// response, with the time in [echo.Stamp]'s nanoseconds at which the event's
// first byte was there. It returns when the response has come and the stream has
// ended. An error of each ends it early and is returned.
func (c *Conn) Stream(each func(data []byte, first int64) error) error {
	if err := c.ask(); err != nil {
		return err
	}
	c.events = false
	if err := c.reader.ReadResponse(&c.head, c.visit); err != nil {
		return c.broken(err)
	}
	if c.head.Status != 200 || !c.events {
		var err error
		if c.in, err = c.reader.ReadBody(c.in[:0]); err != nil {
			return c.broken(err)
		}
		if err := c.check(nil); err != nil {
			return err
		}
		return &Error{"bad_reply", false, errors.New("the reply is not an event stream")}
	}
	var events eventReader
	answered := false
	for {
		c.watch()
		piece, err := c.reader.Next()
		at := echo.Stamp()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return c.broken(err)
		}
		if err := events.push(piece, at, func(data []byte, first int64) error {
			if answered || jsonscan.Get(data, "method") != nil {
				return each(data, first)
			}
			answered = true
			c.in = append(c.in[:0], data...)
			c.events = false // it is a message now, no stream
			return c.check(c.call.expect)
		}); err != nil {
			c.drop()
			return err
		}
	}
	if !answered {
		return &Error{"bad_reply", false, errNoResponse}
	}
	return nil
}
