package app

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard/budget"
	own "github.com/sallyport/sallyport/internal/budget"
)

func TestASpreadsheetRunsNoNameOfATool(t *testing.T) {
	w := httptest.NewRecorder()
	writeCSV(w, &UsageReport{GroupBy: []string{"tool"}, Usage: []own.Row{{Key: own.Key{Tool: `=HYPERLINK("https://evil","x")`}, Counts: own.Counts{Calls: 1, Cost: 1_500_001}}}})
	if want := "tool,calls,failed,destructive,cost_usd,tokens,bytes_in,bytes_out\n\"'=HYPERLINK(\"\"https://evil\"\",\"\"x\"\")\",1,0,0,1.500001,0,0,0\n"; w.Body.String() != want {
		t.Errorf("%q", w.Body.String())
	}
}

func TestTheForecastGoesOnAsTheDaysBefore(t *testing.T) {
	now := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC) // ten days are left
	u := own.NewUsage(own.NewMemory(func() time.Time { return now }, func() time.Duration { return 90 * 24 * time.Hour }))
	for day := 1; day <= 20; day++ {
		u.Record(&budget.Entry{At: time.Date(2026, 11, day, 9, 0, 0, 0, time.UTC), Tenant: "acme", Calls: 1, Cost: int64(day)})
	}
	f, err := forecast(t.Context(), u, own.Query{}, now)
	if err != nil || f.SoFar != 210 || f.Days != 7 || f.PerDay != 17 || f.End != 210+170 {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestParametersOfUsageThatMakeNoSenseAreRefused(t *testing.T) {
	for _, text := range []string{"from=yesterday", "group_by=phase", "colour=red", "to=2020-01-01", "from=2000-01-01", "format=xml", "tenant=a&tenant=b", "day=2026-11-01"} {
		v, err := url.ParseQuery(text)
		if err != nil {
			t.Fatal(err)
		}
		v.Add("group_by", "tenant")
		if strings.HasPrefix(text, "group_by") {
			v.Del("group_by")
			v.Set("group_by", "phase")
		}
		if _, _, err := usageQuery(v, time.Now(), nil); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}
