package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/budget"
	"github.com/sallyport/sallyport/internal/config/notation"
)

// AccountChange is what a reset or a grant is about.
type AccountChange struct {
	Budget      string          `json:"budget"`
	Of          budget.Who      `json:"of"`
	Cost        *notation.Money `json:"cost,omitempty"` // what is granted
	Calls       int64           `json:"calls,omitempty"`
	Bytes       int64           `json:"bytes,omitempty"`
	Destructive int64           `json:"destructive,omitempty"`
	Because     string          `json:"because,omitempty"`
}

// AccountState is an account after a change.
type AccountState struct {
	Budget string           `json:"budget"`
	Part   string           `json:"part"` // own, or what all sessions or tasks of the caller share
	Used   map[string]int64 `json:"used"`
	Left   map[string]int64 `json:"left"` // of what is bounded
	Renews string           `json:"renews_in,omitempty"`
}

// account shows the accounts of a budget, or changes them. A change is logged, and
// leaves a receipt before it takes effect.
func (g *Gateway) account(ctx context.Context, what string, body []byte) (any, error) {
	var c AccountChange
	if err := decodeCommand(body, &c); err != nil {
		return nil, err
	}
	more := budget.Amounts{0, c.Calls, c.Bytes, c.Destructive}
	if c.Cost != nil {
		more[budget.Cost] = int64(*c.Cost)
	}
	for _, n := range more {
		if n < 0 || n > budget.Most {
			return nil, errors.New("nothing below zero can be granted, and no more than there is")
		}
	}
	if what == "grant" && more == (budget.Amounts{}) {
		return nil, errors.New("what is granted? cost, calls, bytes or destructive")
	}
	claims, books, err := g.budgetsInForce().Accounts(c.Budget, &c.Of)
	if err != nil {
		return nil, err
	}
	if what != "show" {
		if err := g.keepCommand(ctx, "/v1/usage", what, body, guard.Event{Kind: "budget_" + what, Guard: "budget", Detail: "budget " + c.Budget}); err != nil {
			return nil, err
		}
	}
	var out []AccountState
	for i := range claims {
		switch what {
		case "reset":
			err = books.Reset(ctx, &claims[i])
		case "grant":
			err = books.Grant(ctx, &claims[i], more)
		}
		if err != nil {
			return nil, err
		}
		s, err := books.Read(ctx, &claims[i])
		if err != nil {
			return nil, err
		}
		out = append(out, accountState(&c, i, &s))
	}
	if what != "show" {
		g.log.Warn("a budget was changed", "change", what, "budget", c.Budget, "of", fmt.Sprintf("%+v", c.Of), "because", c.Because)
	}
	return out, nil
}

func accountState(c *AccountChange, i int, s *budget.State) AccountState {
	a := AccountState{Budget: c.Budget, Part: "own", Used: make(map[string]int64), Left: make(map[string]int64)}
	if i > 0 {
		a.Part = "all that the caller opens"
	}
	for m := range budget.Measures {
		a.Used[m.String()] = s.Used[m]
		if left, bounded := s.Left(m); bounded {
			a.Left[m.String()] = left
		}
	}
	if s.Renews > 0 {
		a.Renews = s.Renews.Round(time.Second).String()
	}
	return a
}

// budgetsInForce are those of the configuration that judges.
func (g *Gateway) budgetsInForce() *budget.View {
	for _, m := range g.holder.Current().Chain.Members() {
		if v := budget.Of(m.Guard); v != nil {
			return v
		}
	}
	return new(budget.View)
}
