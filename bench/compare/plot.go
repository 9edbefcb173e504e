package compare

import (
	"fmt"
	"io"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

const tileWidth, tileHeight = 14 * vg.Centimeter, 10 * vg.Centimeter

// Plot writes latency by percentile as SVG, one picture for each size.
func (r *Report) Plot(w io.Writer) error {
	canvas := vgsvg.New(tileWidth*vg.Length(len(r.Cases)), tileHeight)
	tiles := draw.Tiles{Cols: len(r.Cases), Rows: 1, PadX: vg.Centimeter / 2, PadRight: vg.Centimeter / 4, PadTop: vg.Centimeter / 4}
	whole := draw.New(canvas)
	for i := range r.Cases {
		p, err := r.Cases[i].plot()
		if err != nil {
			return fmt.Errorf("compare: plot: %w", err)
		}
		p.Draw(tiles.At(whole, i, 0))
	}
	if _, err := canvas.WriteTo(w); err != nil {
		return fmt.Errorf("compare: plot: %w", err)
	}
	return nil
}

// percentiles are where the curve is drawn. The axis shows how rare a latency
// is, by powers of ten.
var percentiles = []float64{0, 10, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99}

func rarity(percentile float64) float64 { return -math.Log10(1 - percentile/100) }

func (c *Case) plot() (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = "Latency by percentile, " + bytesText(c.Size) + " each way"
	p.X.Label.Text = "percentile"
	p.Y.Label.Text = "µs"
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, powers{}
	var ticks []plot.Tick
	for _, q := range []float64{0, 50, 90, 99, 99.9, 99.99} {
		ticks = append(ticks, plot.Tick{Value: rarity(q), Label: strconv.FormatFloat(q, 'f', -1, 64)})
	}
	p.X.Tick.Marker = plot.ConstantTicks(ticks)
	p.Legend.Top, p.Legend.Left = true, true
	p.Add(plotter.NewGrid())
	for i, s := range c.Results {
		var line plotter.XYs
		for _, q := range percentiles {
			if v := micros(s.histogram.ValueAtQuantile(q)); v > 0 {
				line = append(line, plotter.XY{X: rarity(q), Y: v})
			}
		}
		l, err := plotter.NewLine(line)
		if err != nil {
			return nil, err
		}
		l.Color, l.Width = plotutil.Color(i), vg.Points(1.5)
		p.Add(l)
		p.Legend.Add(s.Setup, l)
	}
	return p, nil
}

// powers marks 1, 2 and 5 times each power of ten.
type powers struct{}

// Ticks implements plot.Ticker.
func (powers) Ticks(low, high float64) []plot.Tick {
	var out []plot.Tick
	for decade := math.Pow(10, math.Floor(math.Log10(low))); decade <= high; decade *= 10 {
		for _, n := range []float64{1, 2, 5} {
			if v := n * decade; v >= low && v <= high {
				out = append(out, plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'f', -1, 64)})
			}
		}
	}
	return out
}
