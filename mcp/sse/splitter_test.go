package sse_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/mcp/sse"
)

// split pushes chunks and returns the events, each in one line.
func split(t testing.TB, maxEvent int, chunks ...string) (events []string, dropped int, err error) {
	t.Helper()
	s := sse.NewSplitter(maxEvent)
	for _, chunk := range chunks {
		buf := []byte(chunk)
		if err := s.Push(buf, func(e sse.Event) error {
			events = append(events, describe(e))
			return nil
		}); err != nil {
			return events, 0, err
		}
		for i := range buf {
			buf[i] = 'X' // what the splitter keeps must be its own
		}
	}
	return events, s.Close(), nil
}

func describe(e sse.Event) string {
	if e.IsComment() {
		return fmt.Sprintf("comment %q", e.Comment)
	}
	var b strings.Builder
	if e.Type != "" {
		fmt.Fprintf(&b, "event=%q ", e.Type)
	}
	if e.HasID {
		fmt.Fprintf(&b, "id=%q ", e.ID)
	}
	if e.Retry != "" {
		fmt.Fprintf(&b, "retry=%s ", e.Retry)
	}
	if e.Data != nil {
		fmt.Fprintf(&b, "data=%q", e.Data)
	}
	return strings.TrimSpace(b.String())
}

var streams = []struct {
	name, stream string
	want         []string
	dropped      int
}{
	{"lines may end in LF", "data: {}\n\ndata: 2\n\n", []string{`data="{}"`, `data="2"`}, 0},
	{"lines may end in CRLF", "event: message\r\ndata: {}\r\n\r\n", []string{`event="message" data="{}"`}, 0},
	{"lines may end in a lone CR, which Go clients do not see", "data: 1\r\rdata: 2\r\r", []string{`data="1"`, `data="2"`}, 0},
	{"line ends may be mixed", "data: 1\r\ndata: 2\rdata: 3\n\r\n", []string{`data="1\n2\n3"`}, 0},
	{"CR CRLF is two ends", "data: 1\r\r\ndata: 2\n\n", []string{`data="1"`, `data="2"`}, 0},
	{"data lines are joined", "data: a\ndata\ndata:b\n\n", []string{`data="a\n\nb"`}, 0},
	{"one space after the colon is dropped", "data:  a\n\n", []string{`data=" a"`}, 0},
	{"a comment passes at once", "data: 1\n: ping\ndata: 2\n\n", []string{`comment " ping"`, `data="1\n2"`}, 0},
	{"an empty comment passes", ":\n\n", []string{`comment ""`}, 0},
	{"id and retry prime a resumable stream", "id: 7\nretry: 100\ndata:\n\n", []string{`id="7" retry=100 data=""`}, 0},
	{"an id alone passes", "id\n\n", []string{`id=""`}, 0},
	{"an id with NUL is ignored", "id: a\x00b\ndata: 1\n\n", []string{`data="1"`}, 0},
	{"a retry that is no number is ignored", "retry: 1s\nretry: 99999999999999999999\ndata: 1\n\n", []string{`data="1"`}, 0},
	{"unknown fields are left out", "Data: 1\ndatax: 2\n foo\n\n", nil, 0},
	{"the last of several types counts", "event: a\nevent: b\ndata: 1\n\n", []string{`event="b" data="1"`}, 0},
	{"an empty type is nothing", "event:\n\n", nil, 0},
	{"blank lines are nothing", "\n\n\r\r\n", nil, 0},
	{"a leading byte order mark is stripped", "\ufeffdata: 1\n\n", []string{`data="1"`}, 0},
	{"a later byte order mark is not", "data: 1\n\n\ufeffdata: 2\n\n", []string{`data="1"`}, 0},
	{"an event without its blank line is never delivered", "data: 1\n\ndata: 2\n", []string{`data="1"`}, 8},
	{"an event without its last line end is never delivered", "data: 1", nil, 7},
	{"an incomplete comment is dropped", ": pi", nil, 4},
	{"an unknown field before data is no part of its place", "x: 1\ndata: 2\n\n", []string{`data="2"`}, 0},
}

func TestSplitter(t *testing.T) {
	for _, c := range streams {
		t.Run(c.name, func(t *testing.T) {
			whole, dropped, err := split(t, 0, c.stream)
			if err != nil || fmt.Sprint(whole) != fmt.Sprint(c.want) || dropped != c.dropped {
				t.Errorf("got %q, %d bytes dropped, %v; want %q, %d", whole, dropped, err, c.want, c.dropped)
			}
			bytewise, dropped, err := split(t, 0, strings.Split(c.stream, "")...)
			if strings.Contains(c.stream, "\ufeff") {
				bytewise, dropped, err = split(t, 0, chop(c.stream, 1)...)
			}
			if err != nil || fmt.Sprint(bytewise) != fmt.Sprint(c.want) || dropped != c.dropped {
				t.Errorf("byte by byte: got %q, %d bytes dropped, %v; want %q, %d", bytewise, dropped, err, c.want, c.dropped)
			}
		})
	}
}

func chop(s string, n int) []string {
	var out []string
	for ; len(s) > n; s = s[n:] {
		out = append(out, s[:n])
	}
	return append(out, s)
}

func TestSizeCap(t *testing.T) {
	const event = "data: 456789\n\n" // 14 bytes
	for _, c := range []struct {
		name   string
		max    int
		chunks []string
		want   int
		err    error
	}{
		{"an event of the limit passes", 14, []string{event + event}, 2, nil},
		{"an event above it does not", 13, []string{event}, 0, sse.ErrTooLarge},
		{"nor does its unfinished beginning", 13, chop(event, 1), 0, sse.ErrTooLarge},
		{"events before it were delivered", 14, []string{event + "data: 4567890\n\n"}, 1, sse.ErrTooLarge},
		{"a line without end is bounded", 100, chop(strings.Repeat("x", 1000), 10), 0, sse.ErrTooLarge},
		{"a stream of ignored lines is not one event", 14, []string{strings.Repeat("x: y\n", 1000)}, 0, nil},
		{"a stream of comments is not one event", 14, []string{strings.Repeat(": y\n", 1000)}, 1000, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _, err := split(t, c.max, c.chunks...)
			if len(got) != c.want || !errors.Is(err, c.err) {
				t.Errorf("%d events, %v; want %d, %v", len(got), err, c.want, c.err)
			}
		})
	}
}

func TestErrorsStick(t *testing.T) {
	stop := errors.New("stop")
	s := sse.NewSplitter(0)
	calls := 0
	for range 2 {
		if err := s.Push([]byte("data: 1\n\ndata: 2\n\n"), func(sse.Event) error { calls++; return stop }); !errors.Is(err, stop) {
			t.Fatalf("Push = %v, want the error of yield", err)
		}
	}
	if calls != 1 {
		t.Errorf("yield was called %d times after it had failed", calls-1)
	}
	s = sse.NewSplitter(0)
	s.Close()
	if err := s.Push([]byte("data: 1\n\n"), func(sse.Event) error { return nil }); !errors.Is(err, sse.ErrClosed) {
		t.Errorf("Push after Close = %v", err)
	}
}

func TestWholeEventIsNotCopied(t *testing.T) {
	s := sse.NewSplitter(0)
	chunk := []byte("event: message\ndata: {\"jsonrpc\":\"2.0\"}\n\n")
	yield := func(e sse.Event) error {
		if &e.Data[0] != &chunk[bytes.IndexByte(chunk, '{')] {
			t.Error("the data was copied")
		}
		return nil
	}
	if err := s.Push(chunk, yield); err != nil {
		t.Fatal(err)
	}
}

func TestAppendTo(t *testing.T) {
	for _, c := range []struct {
		name  string
		event sse.Event
		want  string
	}{
		{"fields come in a fixed order", sse.Event{Type: "message", ID: "1", HasID: true, Retry: "5", Data: []byte("{}")},
			"event: message\nid: 1\nretry: 5\ndata: {}\n\n"},
		{"JSON over several lines goes on one", sse.Event{Data: []byte("{\n\"a\":\n1}")}, "data: { \"a\": 1}\n\n"},
		{"other text keeps its lines", sse.Event{Data: []byte("a\nb")}, "data: a\ndata: b\n\n"},
		{"a raw line break inside a JSON string is not repaired", sse.Event{Data: []byte("{\"a\n\":1}")}, "data: {\"a\ndata: \":1}\n\n"},
		{"an empty id resets", sse.Event{HasID: true}, "id: \n\n"},
		{"no field is smuggled in through an id", sse.Event{ID: "1\ndata: x", HasID: true, Data: []byte("2")}, "id: 1\ndata: 2\n\n"},
		{"nor through a CR in the data", sse.Event{Data: []byte("a\rid: 1")}, "data: a\ndata: id: 1\n\n"},
		{"a comment", sse.Event{Comment: []byte(" ping")}, ": ping\n\n"},
		{"nor through a comment", sse.Event{Comment: []byte("a\ndata: 1")}, ":a\n:data: 1\n\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := string(c.event.AppendTo([]byte("#")[:0])); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func anyStream() *rapid.Generator[string] {
	piece := rapid.SampledFrom([]string{"data: {\"a\":1}", "data", "data:x", "event: message", "id: 4", "id", "retry: 10",
		": ping", ":", "\n", "\n", "\r", "\r\n", "\r\n", "\n\n", "\r\r", "\ufeff", "é", "x: y", " ", "\x00"})
	return rapid.Map(rapid.SliceOf(piece), func(p []string) string { return strings.Join(p, "") })
}

func TestAnyChunkingGivesTheSameEvents(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		stream := anyStream().Draw(rt, "stream")
		limit := rapid.IntRange(1, 60).Draw(rt, "limit")
		whole, dropped, err := split(t, limit, stream)
		var chunks []string
		for rest := stream; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(rt, "chunk")
			chunks, rest = append(chunks, rest[:n]), rest[n:]
		}
		got, gotDropped, gotErr := split(t, limit, chunks...)
		if fmt.Sprint(got) != fmt.Sprint(whole) || gotDropped != dropped || !errors.Is(gotErr, err) {
			rt.Fatalf("whole %q %d %v\nchunked %q %d %v", whole, dropped, err, got, gotDropped, gotErr)
		}
	})
}

// naive reads a stream by the letter of the standard.
func naive(stream string) (events []string) {
	stream = strings.TrimPrefix(stream, "\ufeff")
	stream = strings.ReplaceAll(strings.ReplaceAll(stream, "\r\n", "\n"), "\r", "\n")
	lines := strings.Split(stream, "\n")
	var e sse.Event
	pending := false
	for _, line := range lines[:len(lines)-1] {
		if line == "" {
			if pending && describe(e) != "" {
				events = append(events, describe(e))
			}
			e, pending = sse.Event{}, false
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		trimmed := strings.TrimPrefix(value, " ")
		switch {
		case line[0] == ':':
			events = append(events, describe(sse.Event{Comment: []byte(value)}))
			continue
		case name == "data" && e.Data == nil:
			e.Data = append([]byte{}, trimmed...)
		case name == "data":
			e.Data = append(append(e.Data, '\n'), trimmed...)
		case name == "event":
			e.Type = trimmed
		case name == "id" && !strings.Contains(trimmed, "\x00"):
			e.ID, e.HasID = trimmed, true
		case name == "retry" && trimmed != "" && len(trimmed) <= 18 && strings.Trim(trimmed, "0123456789") == "":
			e.Retry = trimmed
		default:
			continue
		}
		pending = true
	}
	return events
}

func FuzzSplitter(f *testing.F) {
	for _, c := range streams {
		f.Add(c.stream, uint8(3))
	}
	f.Fuzz(func(t *testing.T, stream string, size uint8) {
		if len(stream) > 1<<16 {
			return
		}
		whole, dropped, err := split(t, 0, stream)
		if err != nil {
			t.Fatal(err)
		}
		if want := naive(stream); fmt.Sprint(whole) != fmt.Sprint(want) {
			t.Fatalf("got  %q\nwant %q", whole, want)
		}
		if size > 0 {
			chunked, d, err := split(t, 0, chop(stream, int(size))...)
			if err != nil || fmt.Sprint(chunked) != fmt.Sprint(whole) || d != dropped {
				t.Fatalf("chunks of %d: %q %d %v, whole: %q %d", size, chunked, d, err, whole, dropped)
			}
		}
		var again []byte
		s := sse.NewSplitter(0)
		_ = s.Push([]byte(stream), func(e sse.Event) error {
			if bytes.IndexByte(e.Data, '\n') >= 0 {
				return errors.New("line breaks may turn into spaces")
			}
			again = e.AppendTo(again)
			return nil
		})
		if reread, _, err := split(t, 0, string(again)); err != nil || fmt.Sprint(reread) != fmt.Sprint(whole[:len(reread)]) {
			t.Fatalf("written again: %q, read %q", again, reread)
		}
	})
}

func BenchmarkSplitter(b *testing.B) {
	event := "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"" +
		strings.Repeat("x", 900) + "\"}]}}\n\n"
	stream := []byte(strings.Repeat(event, 16))
	for _, size := range []int{len(stream), 1000, 64} {
		b.Run(fmt.Sprintf("chunks of %d", size), func(b *testing.B) {
			b.SetBytes(int64(len(stream)))
			b.ReportAllocs()
			for b.Loop() {
				s := sse.NewSplitter(0)
				for rest := stream; len(rest) > 0; {
					n := min(size, len(rest))
					if err := s.Push(rest[:n], func(sse.Event) error { return nil }); err != nil {
						b.Fatal(err)
					}
					rest = rest[n:]
				}
			}
		})
	}
}
