package app

import (
	"context"
	"time"

	own "github.com/sallyport/sallyport/internal/budget"
)

// Forecast is what the month will have cost if its rest is like the days before
// today, seven at most.
type Forecast struct {
	Month  string `json:"month"`
	SoFar  int64  `json:"so_far_micro_usd"`
	PerDay int64  `json:"per_day_micro_usd"`
	Days   int    `json:"days"` // that PerDay is the mean of
	End    int64  `json:"end_of_month_micro_usd"`
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
