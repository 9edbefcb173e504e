// Package grafana is the dashboards of Sallyport as code. The files in
// dashboards/ are made from it: go test ./deploy/grafana -update
package grafana

import (
	"encoding/json"
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// Board is one dashboard.
type Board struct {
	ID, Title, About string
	Choices          []Choice
	Rows             []Row
}

// Choice is a variable that the viewer sets: the values that a label has.
type Choice struct {
	Label  string // of the metric, and the variable's name
	Metric string
	Many   bool // several values, or all
}

// Row is panels below one heading, side by side as far as they fit.
type Row struct {
	Title  string
	Panels []Panel
}

// Look is how a panel shows its queries.
type Look int

// Looks.
const (
	Lines  Look = iota // over time
	Number             // the last value
	Table              // one row for each series
)

// Panel is queries that are shown together.
type Panel struct {
	Title, About string
	Look         Look
	Unit         string // of Grafana: "short", "s", "reqps", "percentunit", "currencyUSD", "bytes"
	Width        uint32 // of 24; 0 means 8
	Warn, Alarm  float64
	Queries      []Query
}

// Query is one PromQL expression, and how its series are called.
type Query struct{ Expr, Legend string }

// Dashboards returns all of them.
func Dashboards() []Board {
	return []Board{overview(), oneServer(), oneTenant(), security(), cost()}
}

// JSON returns the dashboard as Grafana imports it.
func (b Board) JSON() ([]byte, error) {
	made, err := b.build()
	if err != nil {
		return nil, fmt.Errorf("grafana: %s: %w", b.ID, err)
	}
	out, err := json.MarshalIndent(made, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("grafana: %s: %w", b.ID, err)
	}
	return append(out, '\n'), nil
}

// source is the variable for the Prometheus that is asked: no dashboard names one.
var source = common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("${source}")}

// build makes the classic schema, which every Grafana in use imports; the newer one
// needs Grafana 13.
//
//nolint:staticcheck // deprecated in favour of that
func (b Board) build() (dashboard.Dashboard, error) {
	out := dashboard.NewDashboardBuilder(b.Title).Uid(b.ID).Description(b.About).Tags([]string{"sallyport"}).
		Time("now-6h", "now").Refresh("30s").Timezone(common.TimeZoneBrowser).Tooltip(dashboard.DashboardCursorSyncCrosshair).
		Link(dashboard.NewDashboardLinkBuilder("Sallyport").Type(dashboard.DashboardLinkTypeDashboards).Tags([]string{"sallyport"}).AsDropdown(true).IncludeVars(true).KeepTime(true)).
		WithVariable(dashboard.NewDatasourceVariableBuilder("source").Label("Prometheus").Type("prometheus"))
	for _, c := range b.Choices {
		v := dashboard.NewQueryVariableBuilder(c.Label).Label(c.Label).Datasource(source).Refresh(dashboard.VariableRefreshOnTimeRangeChanged).
			Query(dashboard.StringOrMap{String: cog.ToPtr(c.query())}).Sort(dashboard.VariableSortAlphabeticalAsc)
		if c.Many {
			v = v.Multi(true).IncludeAll(true).AllValue(".*").Current(dashboard.VariableOption{
				Text: dashboard.StringOrArrayOfString{ArrayOfString: []string{"All"}}, Value: dashboard.StringOrArrayOfString{ArrayOfString: []string{"$__all"}},
			})
		}
		out = out.WithVariable(v)
	}
	id := uint32(0)
	for _, r := range b.Rows {
		id++
		out = out.WithRow(dashboard.NewRowBuilder(r.Title).Id(id))
		for _, p := range r.Panels {
			id++
			out = out.WithPanel(p.builder(id))
		}
	}
	return out.Build()
}

func (c Choice) query() string { return fmt.Sprintf("label_values(%s, %s)", c.Metric, c.Label) }

func (p Panel) builder(id uint32) cog.Builder[dashboard.Panel] {
	if p.Width == 0 {
		p.Width = 8
	}
	limits := dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(p.steps())
	switch p.Look {
	case Number:
		return with(p, stat.NewPanelBuilder().Id(id).Title(p.Title).Description(p.About).Datasource(source).Unit(p.Unit).Span(p.Width).Height(4).
			Thresholds(limits).NoValue("nothing yet").ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"})))
	case Table:
		return with(p, table.NewPanelBuilder().Id(id).Title(p.Title).Description(p.About).Datasource(source).Unit(p.Unit).Span(p.Width).Height(8).NoValue("nothing yet").
			Footer(common.NewTableFooterOptionsBuilder().Show(false).Reducer([]string{"sum"})))
	}
	return with(p, timeseries.NewPanelBuilder().Id(id).Title(p.Title).Description(p.About).Datasource(source).Unit(p.Unit).Span(p.Width).Height(8).
		Min(0).FillOpacity(8).Thresholds(limits).NoValue("nothing yet").
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending)).
		Legend(common.NewVizLegendOptionsBuilder().DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom).ShowLegend(true)))
}

// targets is what the builders of panels have in common.
type targets[B any] interface {
	cog.Builder[dashboard.Panel]
	WithTarget(cog.Builder[variants.Dataquery]) B
}

func with[B targets[B]](p Panel, b B) cog.Builder[dashboard.Panel] {
	for i, q := range p.Queries {
		t := prometheus.NewDataqueryBuilder().RefId(string(rune('A' + i))).Expr(q.Expr).LegendFormat(q.Legend).Datasource(source)
		if p.Look == Lines {
			t = t.Range().Exemplar(true)
		} else {
			t = t.Instant()
		}
		if p.Look == Table {
			t = t.Format(prometheus.PromQueryFormatTable)
		}
		b = b.WithTarget(t)
	}
	return b
}

// steps are the colours: green, from Warn yellow, from Alarm red. Where Alarm is
// lower, less is worse.
func (p Panel) steps() []dashboard.Threshold {
	switch {
	case p.Warn == 0 && p.Alarm == 0:
		return []dashboard.Threshold{{Color: "green"}}
	case p.Alarm < p.Warn:
		return []dashboard.Threshold{{Color: "red"}, {Value: &p.Alarm, Color: "yellow"}, {Value: &p.Warn, Color: "green"}}
	}
	return []dashboard.Threshold{{Color: "green"}, {Value: &p.Warn, Color: "yellow"}, {Value: &p.Alarm, Color: "red"}}
}
