package extproc

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	filterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/mcp"
)

var (
	jsonHeaders  = responseHeaders(false, ":status", "200", "content-type", "application/json")
	eventHeaders = responseHeaders(false, ":status", "200", "content-type", "text/event-stream")
)

func TestAClientThatLeavesResetsTheExchangeWhereverItStands(t *testing.T) {
	for name, c := range map[string]struct {
		go_     func(t *testing.T, f *fixture) *envoy
		reached bool
	}{
		"before its body": {func(t *testing.T, f *fixture) *envoy { return f.asked(t, post(), "") }, false},
		"while the upstream works": {func(t *testing.T, f *fixture) *envoy {
			return f.asked(t, post(), callBody)
		}, true},
		"while a reply is held": {func(t *testing.T, f *fixture) *envoy {
			e := f.asked(t, post(), callBody)
			e.say(jsonHeaders)
			e.say(responseBody(goodReply[:10], false))
			return e
		}, true},
		"in the middle of a stream": {func(t *testing.T, f *fixture) *envoy {
			e := f.asked(t, post(), callBody)
			e.say(eventHeaders)
			e.hear()
			e.say(responseBody("data: "+progress+"\n\n", false))
			e.hear()
			return e
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			e := c.go_(t, f)
			e.cancel()
			if err := e.ended(); status.Code(err) != codes.Canceled {
				t.Errorf("ended with %v", err)
			}
			if o := f.settled(t); o.Ending != guard.Reset || o.Reached != c.reached {
				t.Errorf("outcome %+v", o)
			}
			if f.server.Open() != 0 {
				t.Error("a stream is still listed")
			}
		})
	}
}

func TestAReplyThatDoesNotEndIsAnswered(t *testing.T) {
	f := newFixture(t)
	f.snap.Limits.ResponseTime = 30 * time.Millisecond
	e := f.asked(t, post(), callBody)
	e.say(jsonHeaders)
	e.say(responseBody(goodReply[:10], false))
	i := e.hear().GetImmediateResponse()
	if i.GetStatus().GetCode() != 504 || !strings.Contains(string(i.GetBody()), `"id":7`) {
		t.Fatalf("got %v", i)
	}
	e.say(responseBody(goodReply[10:], true)) // too late: dropped, and no answer
	if err := e.close(); err != nil {
		t.Error(err)
	}
	if len(e.out) != 0 {
		t.Errorf("late bytes were answered with %v", <-e.out)
	}
	if o := f.settled(t); o.Ending != guard.TimedOut {
		t.Errorf("outcome %+v", o)
	}
}

func TestAStreamThatTheUpstreamDoesNotEndIsEndedAfterTheAnswer(t *testing.T) {
	f := newFixture(t)
	e := f.asked(t, post(), callBody)
	e.say(eventHeaders)
	e.hear()
	e.say(responseBody("data: "+goodReply+"\n\n", false))
	if b, end := chunk(e.hear()); end || !strings.Contains(b, "result") {
		t.Errorf("got %q, end %v", b, end)
	}
	if b, end := chunk(e.hear()); !end || b != "" {
		t.Errorf("got %q, end %v", b, end)
	}
}

func TestADrainEndsOpenStreamsReadably(t *testing.T) {
	for name, c := range map[string]struct {
		first string // event
		want  string
	}{
		"one that cannot be resumed": {"data: " + progress + "\n\n", "gateway_stopping"},
		"one that can":               {"id: 1\ndata: " + progress + "\n\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			e := f.asked(t, post("mcp-protocol-version", "2025-11-25"), callBody)
			e.say(eventHeaders)
			e.hear()
			e.say(responseBody(c.first, false))
			e.hear()
			f.server.Drain()
			b, end := chunk(e.hear())
			if !end || !strings.Contains(b, c.want) || (b == "") != (c.want == "") {
				t.Errorf("got %q, end %v", b, end)
			}
			e.say(responseBody("data: "+goodReply+"\n\n", true)) // nothing passes after the end
			if err := e.close(); err != nil {
				t.Error(err)
			}
			if len(e.out) != 0 {
				t.Errorf("passed: %v", <-e.out)
			}
			f.settled(t)
			// Streams that begin during the drain end at once.
			e = f.asked(t, post(), callBody)
			e.say(eventHeaders)
			e.hear()
			if _, end := chunk(e.hear()); !end {
				t.Error("a new stream goes on")
			}
		})
	}
}

func TestARevocationEndsOpenStreamsReadably(t *testing.T) {
	f := newFixture(t)
	e := f.asked(t, post("mcp-protocol-version", "2025-11-25"), callBody)
	e.say(eventHeaders)
	e.hear()
	e.say(responseBody("data: "+progress+"\n\n", false))
	e.hear()
	f.server.Reconsider() // of somebody else
	if len(e.out) != 0 {
		t.Fatal("it ended")
	}
	f.gone.Store(true)
	f.server.Reconsider()
	b, end := chunk(e.hear())
	if !end || !strings.Contains(b, `"reason":"identity_revoked"`) || !strings.Contains(b, `"id":7`) {
		t.Errorf("got %q, end %v", b, end)
	}
	e.say(responseBody("data: "+goodReply+"\n\n", true)) // nothing passes after the end
	if err := e.close(); err != nil {
		t.Error(err)
	}
	if len(e.out) != 0 {
		t.Errorf("passed: %v", <-e.out)
	}
	f.settled(t)
	// One that was admitted before, and opens now.
	e = f.asked(t, post(), callBody)
	e.say(eventHeaders)
	e.hear()
	if _, end := chunk(e.hear()); !end {
		t.Error("a new stream goes on")
	}
}

func TestPanicsFailClosed(t *testing.T) {
	t.Run("of a guard, in a request", func(t *testing.T) {
		f := newFixture(t)
		f.probe.inspect = func(*mcp.Message) (guard.Verdict, error) { panic("provoked") }
		e := f.asked(t, post(), "")
		e.say(requestBody(callBody))
		if i := e.hear().GetImmediateResponse(); i.GetStatus().GetCode() != 503 || !strings.Contains(string(i.GetBody()), `"id":7`) {
			t.Errorf("got %v", i)
		}
	})
	t.Run("of a guard, in a reply", func(t *testing.T) {
		f := newFixture(t)
		e := f.asked(t, post(), callBody)
		f.probe.inspect = func(*mcp.Message) (guard.Verdict, error) { panic("provoked") }
		g := e.play(jsonHeaders, responseBody(goodReply, true))
		if !g.immediate || g.status != 503 {
			t.Errorf("got %+v", g)
		}
	})
	t.Run("of the machine", func(t *testing.T) {
		f := newFixture(t)
		e := f.asked(t, post(), "")
		f.snap.Decoder = nil
		e.say(requestBody(callBody))
		if err := e.ended(); status.Code(err) != codes.Internal {
			t.Errorf("ended with %v", err)
		}
		if o := f.settled(t); o.Ending != guard.Broken || o.Reached {
			t.Errorf("outcome %+v", o)
		}
	})
	t.Run("of the machine, beside Process", func(t *testing.T) {
		f := newFixture(t)
		f.snap.Limits.ResponseTime = 20 * time.Millisecond
		e := f.asked(t, post(), callBody)
		f.snap.Chain = nil // what answers for a late upstream breaks
		e.say(jsonHeaders)
		if i := e.hear().GetImmediateResponse(); i.GetStatus().GetCode() != 503 {
			t.Errorf("got %v", i)
		}
		e.cancel()
		if err := e.ended(); err == nil {
			t.Error("ended with OK")
		}
	})
}

func TestWithoutWantsTheResponseMayStayAway(t *testing.T) {
	f := newFixture(t)
	members := append([]guard.Member(nil), f.snap.Chain.Members()[1])
	members[0].Spec.Wants = []guard.Want{{Method: "*", Direction: mcp.ToServer}}
	var err error
	if f.snap.Chain, err = guard.New(guard.Host{Now: time.Now, Decoder: f.snap.Decoder, Await: gate.Await}, members...); err != nil {
		t.Fatal(err)
	}
	head := post()
	head.ProtocolConfig = modes(filterv3.ProcessingMode_BUFFERED, filterv3.ProcessingMode_NONE)
	e := f.asked(t, head, callBody)
	if err := e.close(); err != nil {
		t.Error(err)
	}
	if o := f.settled(t); o.Ending != guard.Completed || !o.Reached {
		t.Errorf("outcome %+v", o)
	}
}
