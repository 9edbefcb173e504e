package echo

import (
	"net/http"
	"strconv"
)

const (
	jsonType   = "content-type: application/json\r\n"
	eventsHead = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
	lastChunk  = "0\r\n\r\n"
)

// reply sends a status, further header lines and a JSON body in one write.
func (x *exchange) reply(status int, headers string, body []byte) error {
	b := append(x.out[:0], "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(append(b, ' '), http.StatusText(status)...)
	b = append(append(b, "\r\n"...), headers...)
	if len(body) > 0 {
		b = append(b, jsonType...)
	}
	if x.closing {
		b = append(b, "connection: close\r\n"...)
	}
	b = append(b, "content-length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	b = append(append(b, "\r\n\r\n"...), body...)
	return x.write(b)
}

func (x *exchange) write(b []byte) error {
	x.out = b
	_, err := x.conn.Write(b)
	return err
}

func (x *exchange) result(id []byte, headers, result string) error {
	b := append(x.payload[:0], `{"jsonrpc":"2.0","id":`...)
	b = append(append(b, id...), `,"result":`...)
	x.payload = append(append(b, result...), '}')
	return x.reply(200, headers, x.payload)
}

func (x *exchange) failure(status int, id []byte, code int, text string) error {
	b := append(x.payload[:0], `{"jsonrpc":"2.0",`...)
	if id != nil {
		b = append(append(append(b, `"id":`...), id...), ',')
	}
	b = strconv.AppendInt(append(b, `"error":{"code":`...), int64(code), 10)
	x.payload = append(append(append(b, `,"message":"`...), text...), `"}}`...)
	return x.reply(status, "", x.payload)
}

// eventReply sends message as the only event of a stream, in one write.
func (x *exchange) eventReply(message []byte) error {
	b := append(x.out[:0], eventsHead...)
	b = appendEvent(b, message)
	return x.write(append(b, lastChunk...))
}

// appendEvent appends one event as one chunk.
func appendEvent(b, message []byte) []byte {
	const before, after = "event: message\ndata: ", "\n\n"
	b = strconv.AppendInt(b, int64(len(before)+len(message)+len(after)), 16)
	b = append(append(b, "\r\n"...), before...)
	return append(append(append(b, message...), after...), "\r\n"...)
}
