package verify

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/audit/chain"
)

// Unended is an exchange whose end is on no receipt.
type Unended struct {
	Path string // of the directory or file
	At   Place  // of the receipt by which it was let go
	Line []byte // that receipt; nil of [Lives.Opens]
	// Over says that the gateway was started anew since: the exchange has ended, and
	// nobody wrote down how. Without it, it may still go on.
	Over bool
}

// Opens is what [Open] found beside those that it listed.
type Opens struct {
	Over   int // of those listed
	Unseen int // exchanges whose answers the gateway was not shown
}

// Open calls f with the first receipt of each exchange that was let go and of which
// no receipt says what came of it, in order. A filter is asked about those first
// receipts; ends count wherever they stand, also in another replica's directory. It
// verifies nothing.
func Open(paths []string, want Filter, f func(Unended) error) (o Opens, err error) {
	b := NewLives(want)
	b.keep = true
	for _, path := range paths {
		files, err := sources(path)
		if err != nil {
			return o, err
		}
		for _, file := range files {
			if err := eachLine(file, func(n uint64, line []byte) (bool, error) {
				var r Receipt
				if json.Unmarshal(line, &r) == nil {
					b.Take(path, Place{file.name(), n}, line, &r)
				}
				return true, nil
			}); err != nil {
				return o, err
			}
		}
	}
	return b.Opens(f)
}

// Receipt is what a line says of itself and of the life of an exchange.
type Receipt struct {
	seen
	Direction string          `json:"direction"`
	Start     string          `json:"start"`
	Stream    bool            `json:"stream"`
	Unseen    bool            `json:"unseen"`
	Egress    json.RawMessage `json:"egress"`
}

// Lives are the exchanges that begin and end on the lines of directories.
type Lives struct {
	want   Filter
	keep   bool // lines, to show them
	open   map[string]*opening
	ended  map[string]bool // closed before it was seen to open: its first receipt is in a directory to come
	seen   int
	unseen int
}

// opening is an exchange that is open as far as was read.
type opening struct {
	Unended
	number int
	egress bool // it goes on without the gateway
}

// NewLives returns none. A filter is asked about the first receipt of each.
func NewLives(want Filter) *Lives {
	return &Lives{want: want, open: make(map[string]*opening), ended: make(map[string]bool)}
}

// Opens calls f with each exchange that is open, in order.
func (b *Lives) Opens(f func(Unended) error) (o Opens, err error) {
	list := make([]*opening, 0, len(b.open))
	for _, x := range b.open {
		list = append(list, x)
	}
	slices.SortFunc(list, func(x, y *opening) int { return cmp.Compare(x.number, y.number) })
	o.Unseen = b.unseen
	for _, x := range list {
		if x.Over {
			o.Over++
		}
		if err := f(x.Unended); err != nil {
			return o, err
		}
	}
	return o, nil
}

// Take takes in the next line of a directory; it keeps nothing of it.
func (b *Lives) Take(path string, at Place, line []byte, t *Receipt) {
	switch {
	case t.Record == chain.RecordSegment && t.Start != chain.StartRotated:
		for _, x := range b.open {
			x.Over = x.Over || x.Path == path && !x.egress
		}
	case t.Exchange == "":
	case t.Closed != "":
		if b.open[t.Exchange] == nil && t.Egress != nil {
			b.ended[t.Exchange] = true
		}
		delete(b.open, t.Exchange)
	case t.Direction == "to_server" && t.Action == "allow":
		switch {
		case strings.HasPrefix(t.Exchange, "admin-"): // a command of an operator, which went nowhere; ids of exchanges are hexadecimal
		case b.ended[t.Exchange]:
			delete(b.ended, t.Exchange)
		case !b.want.fits(&t.seen):
		case t.Unseen:
			b.unseen++
		default:
			b.seen++
			x := &opening{Unended{Path: path, At: at}, b.seen, t.Egress != nil}
			if b.keep {
				x.Line = bytes.Clone(line)
			}
			b.open[t.Exchange] = x
		}
	case !t.Stream: // a refusal after all, or an answer that was judged
		delete(b.open, t.Exchange)
	}
}
