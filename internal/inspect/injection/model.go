package injection

import (
	_ "embed"
	"encoding/binary"
	"errors"
	"math"
)

// Channel is where a text comes from: what is ordinary in one is not in another.
type Channel uint8

// The channels.
const (
	Result      Channel = iota // what a tool, a resource or a page says
	Description                // of a tool, a prompt or a parameter
	Direct                     // what a person asks
	channels
)

// ChannelOf returns the channel that test data calls by this name.
func ChannelOf(name string) Channel {
	switch name {
	case "tool_description":
		return Description
	case "direct":
		return Direct
	}
	return Result
}

// Model is a linear model over hashed features, with weights for each channel.
// It is immutable.
type Model struct {
	scale   float64
	bias    [channels]float64
	weights [channels][buckets]int8
}

const (
	buckets = 1 << 16
	magic   = "sallyport-injection-2\n"
	header  = len(magic) + 8*(1+int(channels))
)

//go:embed weights.bin
var shipped []byte

// Shipped returns the model that is part of this build.
func Shipped() (*Model, error) { return unmarshal(shipped) }

// unmarshal reads a model.
func unmarshal(b []byte) (*Model, error) {
	if len(b) != header+int(channels)*buckets || string(b[:len(magic)]) != magic {
		return nil, errors.New("injection: unmarshal: not a model of this version")
	}
	m := new(Model)
	b = b[len(magic):]
	next := func() float64 {
		f := math.Float64frombits(binary.LittleEndian.Uint64(b))
		b = b[8:]
		return f
	}
	m.scale = next()
	for c := range m.bias {
		m.bias[c] = next()
	}
	for c := range m.weights {
		for i := range m.weights[c] {
			m.weights[c][i] = int8(b[c*buckets+i])
		}
	}
	return m, nil
}

// quantise makes a model of trained weights.
func quantise(weights [channels][]float64, bias [channels]float64) *Model {
	m := &Model{bias: bias}
	for _, list := range weights {
		for _, w := range list {
			m.scale = max(m.scale, math.Abs(w)/127)
		}
	}
	for c, list := range weights {
		for i, w := range list {
			if m.scale > 0 {
				m.weights[c][i] = int8(math.Round(w / m.scale))
			}
		}
	}
	return m
}

// Marshal returns the model as [unmarshal] reads it.
func (m *Model) Marshal() []byte {
	b := []byte(magic)
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(m.scale))
	for _, f := range m.bias {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(f))
	}
	for c := range m.weights {
		for _, w := range m.weights[c] {
			b = append(b, byte(w))
		}
	}
	return b
}

// sum is what a sentence adds up to. Sums of neighbours can be added.
type sum struct{ total, n int }

func (s sum) plus(o sum) sum { return sum{s.total + o.total, s.n + o.n} }

func (m *Model) sum(at []uint32, from Channel) sum {
	s := sum{n: len(at)}
	w := &m.weights[from]
	for _, i := range at {
		s.total += int(w[i&(buckets-1)])
	}
	return s
}

// probability turns a sum into one. Long sentences have more of everything, so
// it is divided by the root of their length.
func (m *Model) probability(s sum, from Channel) float64 {
	if s.n == 0 {
		return 0
	}
	return 1 / (1 + math.Exp(-(float64(s.total)*m.scale/math.Sqrt(float64(s.n)) + m.bias[from])))
}
