package app

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/budget"
	"github.com/sallyport/sallyport/internal/admin"
	own "github.com/sallyport/sallyport/internal/budget"
	"github.com/sallyport/sallyport/internal/config/notation"
)

// usageRoutes show who used what, and change accounts.
func (g *Gateway) usageRoutes() []admin.Route {
	return []admin.Route{
		{Pattern: "GET /v1/usage", Page: g.showUsage},
		{Pattern: "POST /v1/usage/show", Do: func(ctx context.Context, body []byte) (any, error) { return g.account(ctx, "show", body) }},
		{Pattern: "POST /v1/usage/reset", Do: func(ctx context.Context, body []byte) (any, error) { return g.account(ctx, "reset", body) }},
		{Pattern: "POST /v1/usage/grant", Do: func(ctx context.Context, body []byte) (any, error) { return g.account(ctx, "grant", body) }},
	}
}

// UsageReport is the body of /v1/usage.
type UsageReport struct {
	From     own.Day   `json:"from"`
	To       own.Day   `json:"to"`
	GroupBy  []string  `json:"group_by"`
	Usage    []own.Row `json:"usage"`
	Forecast *Forecast `json:"forecast,omitempty"`
}

// Forecast is what the month will have cost if its rest is like the days before
// today, seven at most.
type Forecast struct {
	Month  string `json:"month"`
	SoFar  int64  `json:"so_far_micro_usd"`
	PerDay int64  `json:"per_day_micro_usd"`
	Days   int    `json:"days"` // that PerDay is the mean of
	End    int64  `json:"end_of_month_micro_usd"`
}

// level is what cost_controls.monitoring.cost_attribution groups by.
func (g *Gateway) level() []string {
	word, _ := strings.CutSuffix(g.source.Current().CostControls.Monitoring.CostAttribution, "_level")
	if word == "" {
		return []string{"day", "tenant", "project", "agent", "server", "tool"}
	}
	return []string{word}
}

func (g *Gateway) showUsage(w http.ResponseWriter, req *http.Request) {
	u := g.lasting.budgets.counted()
	if u == nil {
		http.Error(w, "no usage is counted: set cost_controls, autonomy_controls.sandbox_budgets or guards.budget", http.StatusNotFound)
		return
	}
	q, r, err := usageQuery(req.URL.Query(), time.Now(), g.level())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if r.Usage, err = u.Query(req.Context(), *q); err == nil && req.URL.Query().Get("forecast") == "true" {
		r.Forecast, err = forecast(req.Context(), u, *q, time.Now())
	}
	if err != nil {
		http.Error(w, "usage cannot be read: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	if req.URL.Query().Get("format") == "csv" {
		w.Header().Set("Content-Type", "text/csv; charset=utf-8")
		writeCSV(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(r) // the client may be gone
}

// usageQuery reads the parameters of /v1/usage: this month when none are given.
func usageQuery(v url.Values, now time.Time, by []string) (*own.Query, *UsageReport, error) {
	now = now.UTC()
	q := &own.Query{From: time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC), To: now, By: by}
	filters := make(map[string]string)
	for key, values := range v {
		value := values[0]
		var err error
		switch {
		case len(values) > 1:
			err = errors.New("is given twice")
		case key == "from":
			q.From, err = time.Parse(time.DateOnly, value)
		case key == "to":
			q.To, err = time.Parse(time.DateOnly, value)
		case key == "group_by":
			q.By = strings.Split(value, ",")
			for _, d := range q.By {
				if !slices.Contains(own.Dimensions(), d) {
					err = fmt.Errorf("%q is none of %s", d, strings.Join(own.Dimensions(), ", "))
				}
			}
		case key == "format" && (value == "json" || value == "csv"), key == "forecast" && (value == "true" || value == "false"):
		case key != "day" && slices.Contains(own.Dimensions(), key):
			filters[key] = value
		default:
			err = errors.New("is no parameter, or has a value that it cannot have")
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	if q.To.Before(q.From) || q.To.Sub(q.From) > 1200*24*time.Hour {
		return nil, nil, errors.New("to: is before from, or more than 1200 days after it")
	}
	q.Match = func(k *own.Key) bool {
		one := own.Row{Key: *k}
		for key, want := range filters {
			if one.Of(key) != want {
				return false
			}
		}
		return true
	}
	return q, &UsageReport{From: own.DayOf(q.From), To: own.DayOf(q.To), GroupBy: q.By}, nil
}

func forecast(ctx context.Context, u *own.Usage, q own.Query, now time.Time) (*Forecast, error) {
	now = now.UTC()
	first := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	today := now.Truncate(24 * time.Hour)
	f := &Forecast{Month: now.Format("2006-01")}
	q.By = []string{"day"}
	sum := func(from, to time.Time) (cost int64, days int, err error) {
		q.From, q.To = from, to
		rows, err := u.Query(ctx, q)
		for i := range rows {
			cost += rows[i].Cost
		}
		return cost, len(rows), err
	}
	var err error
	if f.SoFar, _, err = sum(first, now); err != nil {
		return nil, err
	}
	var before int64
	if before, f.Days, err = sum(today.AddDate(0, 0, -7), today.Add(-time.Second)); err != nil {
		return nil, err
	}
	rest := first.AddDate(0, 1, 0).Sub(now).Hours() / 24
	if f.Days > 0 {
		f.PerDay = before / int64(f.Days)
	} else { // the first day there is: it goes on as it began
		f.PerDay = int64(float64(f.SoFar) / max(now.Sub(today).Hours()/24, 1./24))
	}
	f.End = f.SoFar + int64(float64(f.PerDay)*rest)
	return f, nil
}

func writeCSV(w http.ResponseWriter, r *UsageReport) {
	out := csv.NewWriter(w)
	_ = out.Write(append(slices.Clone(r.GroupBy), "calls", "failed", "destructive", "cost_usd", "tokens", "bytes_in", "bytes_out"))
	for i := range r.Usage {
		row := &r.Usage[i]
		var line []string
		for _, d := range r.GroupBy {
			v := row.Of(d)
			if v != "" && strings.ContainsRune("=+-@\t\r", rune(v[0])) {
				v = "'" + v // a spreadsheet takes it for a formula
			}
			line = append(line, v)
		}
		for _, n := range []int64{row.Calls, row.Failed, row.Destructive} {
			line = append(line, strconv.FormatInt(n, 10))
		}
		line = append(line, fmt.Sprintf("%d.%06d", row.Cost/1e6, row.Cost%1e6))
		for _, n := range []int64{row.Tokens, row.BytesIn, row.BytesOut} {
			line = append(line, strconv.FormatInt(n, 10))
		}
		_ = out.Write(line) // the client may be gone
	}
	out.Flush()
}

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
	if err := decodeStrict(body, &c); err != nil {
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
		if err := g.receiptOf(ctx, what, &c, body); err != nil {
			return nil, fmt.Errorf("nothing was changed, because no receipt could be kept: %w", err)
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

// decodeStrict reads a command to the admin interface.
func decodeStrict(body []byte, into any) error {
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("the body is no such command: %w", err)
	}
	return nil
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

// receiptOf keeps the receipt of a change: as of a request to the admin interface
// that was allowed.
func (g *Gateway) receiptOf(ctx context.Context, what string, c *AccountChange, body []byte) error {
	return g.adminReceipt(ctx, "/v1/usage/"+what, "budget", "admin: "+what+" "+string(body), guard.Event{Kind: "budget_" + what, Guard: "budget", Detail: "budget " + c.Budget})
}
