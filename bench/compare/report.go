package compare

import (
	"maps"
	"runtime"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/sallyport/sallyport/bench/load"
	"github.com/sallyport/sallyport/bench/setup"
)

// Report is what was measured, and under which conditions.
type Report struct {
	Time  time.Time `json:"time"`
	CPUs  int       `json:"cpus"`
	Go    string    `json:"go"`
	Plan  Plan      `json:"plan"`
	Cases []Case    `json:"cases"`
}

// Case is all that was measured with messages of one size.
type Case struct {
	Size    int      `json:"size"`
	Results []Result `json:"results"`
}

// Result is one set-up with messages of one size. Single numbers are medians
// of the rounds; latencies are of all calls of all rounds together.
type Result struct {
	Setup   string             `json:"setup"`
	Rate    float64            `json:"calls_per_second"`
	Latency Latency            `json:"latency_us"`
	Lag     float64            `json:"send_lag_p99_us"` // how late the generator itself was, in an open loop
	CPU     map[string]float64 `json:"cpu_us_per_call"`
	Gateway float64            `json:"gateway_cpu_us_per_call"`
	Foreign float64            `json:"foreign_cpu_share"`
	Steal   float64            `json:"steal_share"`
	Errors  int64              `json:"errors"`
	Kinds   map[string]int64   `json:"errors_by_kind,omitempty"`
	ToNoop  *Ratios            `json:"to_noop,omitempty"`
	ToBare  *Ratios            `json:"to_sallyport,omitempty"` // of set-ups that add to the gateway without guards
	Rounds  []Sample           `json:"rounds"`

	histogram *hdrhistogram.Histogram
	parts     []setup.Part
}

// Latency are percentiles.
type Latency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// Ratios compare a set-up with the no-op of the same rounds.
type Ratios struct {
	Rate Ratio `json:"calls_per_second"`
	CPU  Ratio `json:"gateway_cpu"`
	P50  Ratio `json:"p50"`
}

// Ratio is the median of the ratios of the single rounds, and their range.
type Ratio struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func newReport(p Plan) *Report {
	return &Report{Time: time.Now().UTC().Truncate(time.Second), CPUs: runtime.NumCPU(), Go: runtime.Version(), Plan: p}
}

// Errors returns the number of failed calls of all set-ups.
func (r *Report) Errors() int64 {
	var n int64
	for _, c := range r.Cases {
		for _, s := range c.Results {
			n += s.Errors
		}
	}
	return n
}

func (r *Report) add(size int, setups []setup.Setup, samples [][]Sample) {
	c := Case{Size: size}
	for i, s := range setups {
		c.Results = append(c.Results, summary(s, samples[i]))
	}
	if i := slices.IndexFunc(c.Results, func(x Result) bool { return x.Setup == setup.Noop }); i >= 0 {
		for j := range c.Results {
			c.Results[j].ToNoop = ratios(c.Results[j].Rounds, c.Results[i].Rounds)
		}
	}
	if i := slices.IndexFunc(c.Results, func(x Result) bool { return x.Setup == setup.Sallyport }); i >= 0 {
		for j := range c.Results[i+1:] {
			x := &c.Results[i+1+j]
			x.ToBare = ratios(x.Rounds, c.Results[i].Rounds)
		}
	}
	r.Cases = append(r.Cases, c)
}

func summary(s setup.Setup, rounds []Sample) Result {
	of := func(value func(Sample) float64) float64 { return median(each(rounds, value)) }
	out := Result{
		Setup: s.Name, Rounds: rounds, parts: s.Parts, CPU: map[string]float64{}, Kinds: map[string]int64{},
		Rate:    of(func(x Sample) float64 { return x.Rate }),
		Gateway: of(func(x Sample) float64 { return x.Gateway }),
		Foreign: of(func(x Sample) float64 { return x.Foreign }),
		Steal:   of(func(x Sample) float64 { return x.Steal }),
	}
	for name := range maps.Keys(rounds[0].CPU) {
		out.CPU[name] = of(func(x Sample) float64 { return x.CPU[name] })
	}
	all, lag := load.NewHistogram(), load.NewHistogram()
	for _, x := range rounds {
		all.Merge(x.histogram)
		lag.Merge(x.lag)
		for k, n := range x.Errors {
			out.Kinds[k] += n
			out.Errors += n
		}
	}
	out.Latency = latency(all)
	out.Lag, out.histogram = micros(lag.ValueAtQuantile(99)), all
	return out
}

func latency(h *hdrhistogram.Histogram) Latency {
	q := func(p float64) float64 { return micros(h.ValueAtQuantile(p)) }
	return Latency{q(50), q(90), q(99), q(99.9), micros(h.Max())}
}

func ratios(rounds, noop []Sample) *Ratios {
	of := func(value func(Sample) float64) Ratio {
		var all []float64
		for i := range rounds {
			if base := value(noop[i]); base > 0 {
				all = append(all, value(rounds[i])/base)
			}
		}
		if len(all) == 0 {
			return Ratio{}
		}
		return Ratio{median(all), slices.Min(all), slices.Max(all)}
	}
	return &Ratios{
		Rate: of(func(x Sample) float64 { return x.Rate }),
		CPU:  of(func(x Sample) float64 { return x.Gateway }),
		P50:  of(func(x Sample) float64 { return x.P50 }),
	}
}

func each(rounds []Sample, value func(Sample) float64) []float64 {
	out := make([]float64, len(rounds))
	for i, x := range rounds {
		out[i] = value(x)
	}
	return out
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}
