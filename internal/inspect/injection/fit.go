package injection

import (
	"math"
	"math/rand/v2"
)

// fitted are weights that all channels share, and those of each.
type fitted struct {
	shared []float64
	own    [channels][]float64
	bias   [channels + 1]float64
}

func newFitted() *fitted {
	f := &fitted{shared: make([]float64, buckets)}
	for c := range f.own {
		f.own[c] = make([]float64, buckets)
	}
	return f
}

func (f *fitted) score(at []uint32, from Channel) float64 {
	z, own := 0.0, f.own[from]
	for _, k := range at {
		z += f.shared[k] + own[k]
	}
	return z/math.Sqrt(float64(max(1, len(at)))) + f.bias[channels] + f.bias[from]
}

// fit is stochastic gradient descent with a rate for each weight, averaged over
// the rounds.
func fit(examples []Example, seed uint64) *fitted {
	var total [2]float64
	for _, e := range examples {
		total[e.Label] += e.Weight
	}
	rng := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // the same training gives the same model
	order := rng.Perm(len(examples))
	w, mean, squares := newFitted(), newFitted(), newFitted()
	var at []uint32
	for range rounds {
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, i := range order {
			e := &examples[i]
			at = at[:0]
			for _, k := range e.at {
				if rng.Float64() >= dropped {
					at = append(at, k)
				}
			}
			if len(at) == 0 {
				continue
			}
			norm := 1 / math.Sqrt(float64(len(at)))
			weight := e.Weight * float64(len(examples)) / (2 * total[e.Label])
			g := (1/(1+math.Exp(-w.score(at, e.from))) - float64(e.Label)) * weight
			own, ownSquares := w.own[e.from], squares.own[e.from]
			for _, k := range at {
				step := g*norm + decay*w.shared[k]
				squares.shared[k] += step * step
				w.shared[k] -= rate * step / (0.1 + math.Sqrt(squares.shared[k]))
				step = 0.5*g*norm + decay*own[k]
				ownSquares[k] += step * step
				own[k] -= 0.5 * rate * step / (0.1 + math.Sqrt(ownSquares[k]))
			}
			w.bias[channels] -= 0.01 * g
			w.bias[e.from] -= 0.01 * g
		}
		mean.add(w)
	}
	return mean
}

func (f *fitted) add(w *fitted) {
	for k, x := range w.shared {
		f.shared[k] += x / rounds
	}
	for c := range w.own {
		for k, x := range w.own[c] {
			f.own[c][k] += x / rounds
		}
	}
	for i, x := range w.bias {
		f.bias[i] += x / rounds
	}
}
