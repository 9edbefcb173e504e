package h1

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestResponsesAreReadHoweverTheyArrive(t *testing.T) {
	cases := []struct {
		name, wire string
		status     int
		body       string
		closes     bool
	}{
		{"with a length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", false},
		{"with a length of zero", "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n", 202, "", false},
		{"in chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", 200, "hello", false},
		{"in chunks with extensions and trailers", "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nA: b\r\n\r\n", 200, "hello", false},
		{"until the connection ends", "HTTP/1.1 200 OK\r\n\r\nhello", 200, "hello", true},
		{"of HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", true},
		{"after an interim response", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\nx", 404, "x", false},
		{"without a body by its status", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", false},
		{"that closes", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", 200, "x", true},
		{"larger than the buffer", "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100000), 200, strings.Repeat("x", 100000), false},
	}
	for _, tc := range cases {
		for how, r := range map[string]io.Reader{
			"at once":      strings.NewReader(tc.wire),
			"byte by byte": iotest.OneByteReader(strings.NewReader(tc.wire)),
			"with its end": iotest.DataErrReader(strings.NewReader(tc.wire)),
		} {
			t.Run(tc.name+" "+how, func(t *testing.T) {
				c := NewConn(r)
				var h Head
				if err := c.ReadResponse(&h, nil); err != nil {
					t.Fatal(err)
				}
				body, err := c.ReadBody(nil)
				if err != nil || string(body) != tc.body || h.Status != tc.status || h.Close != tc.closes {
					t.Fatalf("status %d close %v body of %d bytes, %v", h.Status, h.Close, len(body), err)
				}
			})
		}
	}
}

func TestSeveralMessagesOfOneConnectionAreReadInTurn(t *testing.T) {
	wire := "POST /mcp HTTP/1.1\r\nHost: x\r\nMcp-Method: ping\r\nContent-Length: 2\r\n\r\n{}" +
		"POST /mcp HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n" +
		"GET /last?q HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	c := NewConn(iotest.HalfReader(strings.NewReader(wire)))
	var got []string
	for {
		var h Head
		method := ""
		err := c.ReadRequest(&h, func(name, value []byte) {
			if Is(name, "mcp-method") {
				method = string(value)
			}
		})
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		line := string(h.Method) + " " + string(h.Path) + " " + method
		body, err := c.ReadBody(nil)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, line+" "+string(body))
	}
	if s := strings.Join(got, "|"); s != "POST /mcp ping {}|POST /mcp  []|GET /last?q  " {
		t.Fatal(s)
	}
}

func TestPiecesOfABodyAreHandedOnAsTheyArrive(t *testing.T) {
	r, w := io.Pipe()
	go func() {
		for _, part := range []string{"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "3\r\none\r\n", "3\r\ntwo\r\n", "0\r\n\r\n"} {
			_, _ = io.WriteString(w, part)
		}
	}()
	c := NewConn(r)
	var h Head
	if err := c.ReadResponse(&h, nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"one", "two"} {
		if piece, err := c.Next(); err != nil || string(piece) != want {
			t.Fatalf("%q, %v", piece, err)
		}
	}
	if _, err := c.Next(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
}

func TestBrokenMessagesAreErrors(t *testing.T) {
	for name, wire := range map[string]string{
		"not HTTP":                   "SSH-2.0-OpenSSH\r\n\r\n",
		"a length that is no number": "HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\nhello",
		"another transfer encoding":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
		"a header without colon":     "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
		"a chunk size that is none":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"a chunk beyond its size":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
		"a body cut short":           "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
		"chunks cut short":           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
		"a head cut short":           "HTTP/1.1 200 OK\r\nContent-Le",
		"an endless head":            "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", maxHead+1),
	} {
		t.Run(name, func(t *testing.T) {
			c := NewConn(strings.NewReader(wire))
			var h Head
			err := c.ReadResponse(&h, nil)
			if err == nil {
				_, err = c.ReadBody(nil)
			}
			if err == nil || errors.Is(err, io.EOF) {
				t.Fatalf("got %v", err)
			}
		})
	}
}
