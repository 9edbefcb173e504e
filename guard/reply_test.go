package guard_test

import (
	"context"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

func TestWhatAServerAnsweredIsTold(t *testing.T) {
	for body, want := range map[string]guard.Reply{
		`{"jsonrpc":"2.0","id":1,"result":{"content":[],"isError":true}}`:                 {Kind: mcp.Response, Error: true},
		`{"jsonrpc":"2.0","id":1,"result":{"content":[],"isError":false}}`:                {Kind: mcp.Response},
		`{"jsonrpc":"2.0","id":1,"result":{"structuredContent":{"isError":true}}}`:        {Kind: mcp.Response},
		`{"jsonrpc":"2.0","id":1,"result":{"content":[]}}`:                                {Kind: mcp.Response},
		`{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"m"}}`:                  {Kind: mcp.Failure, Code: -32602},
		`{"jsonrpc":"2.0","id":1,"error":{"code":99999999999999999999,"message":"huge"}}`: {Kind: mcp.Failure},
	} {
		m, f := mcp.NewDecoder(mcp.Config{}).Decode(mcp.ToClient, []byte(body))
		if f != nil {
			if want.Kind == mcp.Failure && want.Code == 0 {
				continue // the decoder need not take it
			}
			t.Fatal(body, f)
		}
		got := guard.ReplyOf(&m)
		if got.Kind != want.Kind || got.Error != want.Error || want.Code != 0 && got.Code != want.Code {
			t.Errorf("%s: got %+v", body, got)
		}
	}
}

type witness struct {
	ended  int
	reason guard.Reason
	usage  guard.Usage
	panics bool
}

func (w *witness) Observe(context.Context, *guard.Exchange, *mcp.Message, *guard.Decision) error {
	return nil
}

func (w *witness) Ended(_ context.Context, x *guard.Exchange, o *guard.Outcome) {
	w.ended++
	w.reason, w.usage = o.Reason, x.Usage()
	if w.panics {
		panic("evil")
	}
}

func TestWitnessesLearnOnceHowAnExchangeEndedAfterTheGuards(t *testing.T) {
	broken, w := &witness{panics: true}, &witness{}
	c := chain(t, host(broken, w), member("spender", spender{}))
	x := &guard.Exchange{}
	if err := c.Settle(t.Context(), x, guard.Outcome{Reason: "r"}); err == nil {
		t.Error("a panic of a witness goes untold")
	}
	if err := c.Settle(t.Context(), x, guard.Outcome{}); err != nil {
		t.Error(err)
	}
	if w.ended != 1 || w.reason != "r" || w.usage != (guard.Usage{Cost: 5, Tokens: 7}) {
		t.Errorf("got %+v", w)
	}
}

type spender struct{}

func (spender) Inspect(context.Context, *guard.Exchange, *mcp.Message) (guard.Verdict, error) {
	return guard.Pass(), nil
}

func (spender) Settle(_ context.Context, x *guard.Exchange, _ guard.Outcome) {
	x.Use(guard.Usage{Cost: 5, Tokens: 7})
}
