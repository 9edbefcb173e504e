package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/audit"
	"github.com/sallyport/sallyport/internal/audit/verify"
	"github.com/sallyport/sallyport/mcp"
)

// let returns an exchange whose message was let go, as a chain leaves it. answers are
// the decisions about what came back.
func let(t testing.TB, stream bool, answers ...guard.Action) *guard.Exchange {
	t.Helper()
	x, m, _ := everything(t)
	x.Started, x.Asked, x.Stream = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC), guard.Asked{Kind: mcp.Request, Method: m.Method, Name: m.Name}, stream
	verdicts := append([]guard.Action{guard.Allow}, answers...)
	for i, v := range verdicts {
		fake := &says{action: v}
		c, err := guard.New(guard.Host{Now: time.Now, Decoder: mcp.NewDecoder(mcp.Config{}), Await: func(context.Context, time.Duration, func(context.Context) (guard.Verdict, error)) (guard.Verdict, error) {
			return guard.Verdict{}, nil
		}}, guard.Member{Guard: fake, Timeout: time.Minute, Spec: guard.Spec{Name: "says", Wants: []guard.Want{{Method: "*"}, {Method: "*", Direction: mcp.ToClient}}}})
		if err != nil {
			t.Fatal(err)
		}
		message := *m
		if i > 0 {
			reply, f := mcp.NewDecoder(mcp.Config{}).Decode(mcp.ToClient, []byte(`{"jsonrpc":"2.0","id":"a-1","result":{}}`))
			if f != nil {
				t.Fatal(f)
			}
			message = reply
		}
		c.Run(t.Context(), x, &message)
	}
	return x
}

type says struct{ action guard.Action }

func (s *says) Inspect(context.Context, *guard.Exchange, *mcp.Message) (guard.Verdict, error) {
	if s.action == guard.Allow {
		return guard.Pass(), nil
	}
	return guard.Refuse("policy_denied", ""), nil
}

func TestAnEndIsWrittenDownWhereNoOtherReceiptTellsIt(t *testing.T) {
	unseen := let(t, false)
	unseen.Unseen = true
	listening := let(t, true)
	listening.Asked = guard.Asked{Kind: mcp.Transport, Method: mcp.MethodListen}
	refused := &guard.Exchange{}
	for _, tt := range []struct {
		name string
		x    *guard.Exchange
		o    guard.Outcome
		want audit.End // empty: none
	}{
		{"an answer that was judged is on record", let(t, false, guard.Allow), guard.Outcome{}, ""},
		{"so is one that was refused", let(t, false, guard.Deny), guard.Outcome{Ending: guard.Refused, Reason: "policy_denied"}, ""},
		{"so is a call that was refused", refused, guard.Outcome{Ending: guard.Refused}, ""},
		{"nothing is claimed of what nobody sees", unseen, guard.Outcome{}, ""},
		{"a caller who leaves before the answer is still on record", let(t, false), guard.Outcome{Ending: guard.Reset}, audit.ClientLeft},
		{"a server that breaks off while its reply is read", let(t, false), guard.Outcome{Ending: guard.Reset, Status: 200}, audit.BrokenOff},
		{"a notification that was taken", let(t, false), guard.Outcome{Status: 202}, audit.Answered},
		{"a gateway that fails in between", let(t, false), guard.Outcome{Ending: guard.Broken}, audit.GatewayFailed},
		{"a stream with its answer", let(t, true, guard.Allow), guard.Outcome{Status: 200, Reply: guard.Reply{Kind: mcp.Response}}, audit.Answered},
		{"a stream that ends to be resumed", let(t, true, guard.Allow), guard.Outcome{Status: 200}, audit.ServerClosed},
		{"a caller who leaves a stream that was refused an event", let(t, true, guard.Deny), guard.Outcome{Ending: guard.Left, Status: 200}, audit.ClientLeft},
		{"a stream that is cut by policy", let(t, true, guard.Deny), guard.Outcome{Ending: guard.Refused, Reason: "policy_denied"}, audit.Refused},
		{"a stream whose server says what no stream may", let(t, true), guard.Outcome{Ending: guard.Refused, Reason: guard.UpstreamBadReply}, audit.ServerFailed},
		{"a token that outlives its time by a stream", let(t, true), guard.Outcome{Ending: guard.Refused, Reason: guard.IdentityExpired}, audit.TokenExpired},
		{"a caller who was revoked", let(t, true), guard.Outcome{Ending: guard.Refused, Reason: guard.IdentityRevoked}, audit.Revoked},
		{"a stream that the gateway ends as it stops", let(t, true), guard.Outcome{Ending: guard.Refused, Reason: guard.GatewayStopping}, audit.GatewayStopped},
		{"one that can be resumed elsewhere", let(t, true), guard.Outcome{Ending: guard.Reset, Reason: guard.GatewayStopping, Status: 200}, audit.GatewayStopped},
		{"a listener that the server ends", listening, guard.Outcome{Status: 200}, audit.ServerClosed},
		{"a tunnel that the other end closed", &guard.Exchange{Out: &guard.Outbound{Scheme: "https"}}, guard.Outcome{Status: 200}, audit.ServerClosed},
		{"a plain request that went out", &guard.Exchange{Out: &guard.Outbound{Scheme: "http"}}, guard.Outcome{Status: 200}, audit.Answered},
		{"a destination that cannot be reached", &guard.Exchange{Out: &guard.Outbound{}}, guard.Outcome{Ending: guard.Failed}, audit.ServerFailed},
		{"a tunnel that was silent for too long", &guard.Exchange{Out: &guard.Outbound{}}, guard.Outcome{Ending: guard.TimedOut}, audit.TimedOut},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if end, due := audit.EndOf(tt.x, &tt.o); end != tt.want || due != (tt.want != "") {
				t.Errorf("%q, %v; want %q", end, due, tt.want)
			}
		})
	}
}

func TestAClosingReceiptSaysHowMuchAndNothingElse(t *testing.T) {
	x := let(t, true, guard.Allow)
	x.Upstream, x.Trace.ID, x.Trace.Span = 200, [16]byte{1}, [8]byte{2}
	o := &guard.Outcome{Ending: guard.Refused, Reason: guard.IdentityExpired, Status: 200, BytesIn: 120, BytesOut: 4567, In: 1, Out: 3, Elapsed: 90 * time.Second}
	way := &guard.Exchange{ID: x.ID, Verb: "CONNECT", Source: x.Source, Principal: guard.Principal{Peer: "spiffe://x/y"},
		Out: &guard.Outbound{Listener: "egress0", Workload: "crm", Scheme: "https", Host: "a.example", Port: 443, Address: netip.MustParseAddrPort("192.0.2.1:443")}}
	out := &disk{}
	r := audit.New(out, 4, audit.Block, quiet())
	w := r.Under(audit.Form{Config: "cfg-1", Digest: 1 << 10, Keep: audit.Params}).(guard.Witness)
	w.Ended(t.Context(), x, o)
	w.Ended(t.Context(), way, &guard.Outcome{Ending: guard.Left, BytesIn: 10, BytesOut: 5000, Elapsed: time.Minute})
	w.Ended(t.Context(), let(t, false, guard.Allow), &guard.Outcome{})
	r.Ended(t.Context(), let(t, false, guard.Allow), &guard.Outcome{})
	end(t, r)
	lines := out.lines()
	if len(lines) != 2 {
		t.Fatalf("%d lines: %s", len(lines), lines)
	}
	for _, line := range lines {
		conforms(t, compiled(t, "#/$defs/plain_closing"), []byte(line))
		conforms(t, compiled(t, ""), []byte(line)) // and nothing else
		for _, never := range []string{"4111111111", "secret", "args", "params"} {
			if strings.Contains(line, never) {
				t.Errorf("%s is in the receipt: %s", never, line)
			}
		}
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"closed": "token_expired", "reason": "identity_expired", "time": "2026-11-01T12:01:30Z", "lasted_us": 9e7, "bytes_to_server": 120.0, "bytes_to_client": 4567.0,
		"messages_to_server": 1.0, "messages_to_client": 3.0, "stream": true, "upstream_status": 200.0, "subject": "alice", "tenant": "acme", "server": "bank",
		"method": "tools/call", "name": "pay", "trace_id": "01000000000000000000000000000000", "config": "cfg-1", "action": nil, "direction": nil,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if !strings.Contains(lines[1], `"egress":{"listener":"egress0","workload":"crm","scheme":"https","host":"a.example","port":443,"address":"192.0.2.1:443"}`) || strings.Contains(lines[1], "messages_") {
		t.Error(lines[1])
	}
}

func TestMessagesOfAStreamSayThatItsEndIsToCome(t *testing.T) {
	x, m, d := everything(t)
	for _, tt := range []struct {
		direction            mcp.Direction
		action               guard.Action
		streaming, unseen    bool
		stream, nobodyWillDo bool
	}{
		{mcp.ToClient, guard.Allow, true, false, true, false}, {mcp.ToClient, guard.Allow, false, false, false, false}, {mcp.ToServer, guard.Allow, false, false, false, false},
		{mcp.ToServer, guard.Allow, false, true, false, true}, {mcp.ToServer, guard.Deny, false, true, false, false},
	} {
		x.Stream, x.Unseen, d.Direction, d.Action = tt.streaming, tt.unseen, tt.direction, tt.action
		out := &disk{}
		r := audit.New(out, 4, audit.Block, quiet())
		if err := r.Observe(t.Context(), x, m, d); err != nil {
			t.Fatal(err)
		}
		end(t, r)
		line := out.lines()[0]
		conforms(t, compiled(t, "#/$defs/plain"), []byte(line))
		if strings.Contains(line, `"stream":true`) != tt.stream || strings.Contains(line, `"unseen":true`) != tt.nobodyWillDo {
			t.Errorf("%+v: %s", tt, line)
		}
	}
}

func TestClosingReceiptsAreChainedAndSealedAsOthersAre(t *testing.T) {
	ring := ring(t, t.TempDir())
	k, dir, keys := keep(t, audit.Block, nil)
	o := k.Under(audit.Form{Config: "c", Sealing: &audit.Sealing{Ring: ring, Subjects: true, Largest: 1 << 10}}).(guard.Witness)
	x, m, d := everything(t)
	if err := o.Observe(t.Context(), x, m, d); err != nil {
		t.Fatal(err)
	}
	left := let(t, false)
	o.Ended(t.Context(), left, &guard.Outcome{Ending: guard.Reset, Elapsed: time.Second})
	endKept(t, k)
	text, err := os.ReadFile(filepath.Join(dir, "segment-00000001.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	conforms(t, compiled(t, ""), text)
	if bytes.Contains(text, []byte("alice")) || bytes.Contains(text, []byte("192.0.2.7")) {
		t.Errorf("somebody is named: %s", text)
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	at := slices.IndexFunc(lines, func(l []byte) bool { return bytes.Contains(l, []byte(`"closed":"client_left"`)) })
	if at != 2 { // behind the head and the first receipt
		t.Fatalf("line %d of %s", at, text)
	}
	opened, err := audit.Unseal(lines[at], ring)
	if err != nil || len(opened) != 1 || opened[0].Err != nil || !strings.Contains(string(opened[0].Plain), `"subject":"alice"`) {
		t.Errorf("%v: %+v", err, opened)
	}
	r, err := verify.Directory(dir, verify.Options{Keys: keys})
	if err != nil || !r.OK || r.Receipts != 2 || r.LastSeq != 2 {
		t.Errorf("%v: %+v", err, r)
	}
}
