package injection

import (
	_ "embed"
	"encoding/binary"
	"errors"
	"math"
)

// Model is a linear model over hashed n-grams. It is immutable.
type Model struct {
	scale   float64
	bias    float64
	weights [buckets]int8
}

const (
	buckets = 1 << 16
	magic   = "sallyport-injection-1\n"
)

//go:embed weights.bin
var shipped []byte

// Shipped returns the model that is part of this build.
func Shipped() (*Model, error) { return Unmarshal(shipped) }

// Unmarshal reads a model.
func Unmarshal(b []byte) (*Model, error) {
	if len(b) != len(magic)+16+buckets || string(b[:len(magic)]) != magic {
		return nil, errors.New("injection: unmarshal: not a model of this version")
	}
	m := new(Model)
	b = b[len(magic):]
	m.scale = math.Float64frombits(binary.LittleEndian.Uint64(b))
	m.bias = math.Float64frombits(binary.LittleEndian.Uint64(b[8:]))
	for i, w := range b[16:] {
		m.weights[i] = int8(w)
	}
	return m, nil
}

// Quantise makes a model of trained weights.
func Quantise(weights []float64, bias float64) *Model {
	m := &Model{bias: bias}
	for _, w := range weights {
		m.scale = max(m.scale, math.Abs(w)/127)
	}
	for i, w := range weights {
		if m.scale > 0 {
			m.weights[i] = int8(math.Round(w / m.scale))
		}
	}
	return m
}

// Marshal returns the model as [Unmarshal] reads it.
func (m *Model) Marshal() []byte {
	b := []byte(magic)
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(m.scale))
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(m.bias))
	for _, w := range m.weights {
		b = append(b, byte(w))
	}
	return b
}

// sum is what a sentence adds up to. Sums of neighbours can be added.
type sum struct {
	total int
	n     int
}

func (m *Model) sum(sentence []byte, c concept) sum {
	var s sum
	features(sentence, c, func(i uint32) {
		s.total += int(m.weights[i])
		s.n++
	})
	return s
}

// probability turns a sum into one. Long sentences have more of everything, so
// it is divided by the root of their length.
func (m *Model) probability(s sum) float64 {
	if s.n == 0 {
		return 0
	}
	return 1 / (1 + math.Exp(-(float64(s.total)*m.scale/math.Sqrt(float64(s.n)) + m.bias)))
}

// features calls visit with the buckets of a folded sentence: its words, pairs
// of words, the runs of three to five bytes in words, and what it speaks of,
// singly and in pairs, which is the same in many languages. Numbers are all alike.
func features(sentence []byte, c concept, visit func(uint32)) {
	for a := range conceptNames {
		if c>>a&1 == 0 {
			continue
		}
		for b := a; b < len(conceptNames); b++ {
			if c>>b&1 == 1 {
				h := bucket(uint32(0x9e3779b9) + uint32(a*64+b))
				visit(h)
				visit(h)
			}
		}
	}
	last := uint32(0)
	for i := 0; i < len(sentence); {
		if !inWord(sentence[i]) {
			i++
			continue
		}
		j, h := i, uint32(2166136261)
		number := false
		for j < len(sentence) && inWord(sentence[j]) {
			h = (h ^ uint32(sentence[j])) * 16777619
			number = number || sentence[j] >= '0' && sentence[j] <= '9'
			j++
		}
		if number {
			h = 77
		}
		visit(bucket(h))
		if last != 0 {
			visit(bucket(last*31 + h))
		}
		if last = h | 1; !number && j-i > 3 {
			grams(sentence[i:j], visit)
		}
		i = j
	}
}

func grams(word []byte, visit func(uint32)) {
	for i := range word {
		h := uint32(0x811c9dc5) + 97
		if i == 0 {
			h += 13 // a word's beginning
		}
		for k := i; k < len(word) && k < i+5; k++ {
			if h = (h ^ uint32(word[k])) * 16777619; k >= i+2 {
				visit(bucket(h))
			}
		}
	}
}

func bucket(h uint32) uint32 {
	h ^= h >> 15
	h *= 0x2c1b3c6d
	return (h ^ h>>13) & (buckets - 1)
}

func inWord(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c >= 0x80 }
