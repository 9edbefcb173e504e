package echo

import (
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/bench/jsonscan"
)

// maxEvents bounds a stream: a day of one event per second.
const maxEvents = 86_400

// Stamp returns the machine's monotonic time in nanoseconds, which all its
// processes share and which no clock adjustment makes jump.
func Stamp() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0
	}
	return t.Nano()
}

// stream sends progress notifications at an even pace, each with its [Stamp] as
// the message, then the result.
func (x *exchange) stream(id, args, token []byte) error {
	events, interval := 10, 1000
	jsonscan.Members(args, func(n, v []byte) bool {
		switch string(n) {
		case "events":
			events = integer(v)
		case "interval_ms":
			interval = integer(v)
		}
		return true
	})
	if token == nil {
		return x.failure(200, id, -32602, "stream needs _meta.progressToken")
	}
	if events < 0 || events > maxEvents || interval < 0 || interval > 3_600_000 {
		return x.failure(200, id, -32602, "events or interval_ms out of range")
	}
	if err := x.write(append(x.out[:0], eventsHead...)); err != nil {
		return err
	}
	begin := time.Now()
	for n := 1; n <= events; n++ {
		due := begin.Add(time.Duration(n) * time.Duration(interval) * time.Millisecond)
		if err := x.sleep(time.Until(due)); err != nil {
			return err
		}
		b := append(x.payload[:0], `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":`...)
		b = append(append(b, token...), `,"progress":`...)
		b = strconv.AppendInt(b, int64(n), 10)
		b = strconv.AppendInt(append(b, `,"total":`...), int64(events), 10)
		b = strconv.AppendInt(append(b, `,"message":"`...), Stamp(), 10)
		x.payload = append(b, `"}}`...)
		if err := x.write(appendEvent(x.out[:0], x.payload)); err != nil {
			return err
		}
	}
	b := append(x.payload[:0], `{"jsonrpc":"2.0","id":`...)
	b = append(append(b, id...), `,"result":{"content":[{"type":"text","text":"`...)
	b = strconv.AppendInt(b, int64(events), 10)
	b = append(append(b, ` events"}]`...), x.resultType()...)
	x.payload = append(b, `}}`...)
	return x.write(append(appendEvent(x.out[:0], x.payload), lastChunk...))
}
