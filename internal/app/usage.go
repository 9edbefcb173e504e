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

	"github.com/sallyport/sallyport/internal/admin"
	own "github.com/sallyport/sallyport/internal/budget"
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
