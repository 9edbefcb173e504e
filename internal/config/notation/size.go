package notation

import (
	"fmt"
	"regexp"
	"strconv"
)

// Size is a number of bytes.
type Size int64

// Binary units.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
)

const sizePattern = `(0|[1-9][0-9]{0,11})(B|KiB|MiB|GiB|KB|MB|GB)`

var size = regexp.MustCompile(`^` + sizePattern + `$`)

// Notation describes sizes.
func (Size) Notation() Notation {
	return Notation{
		Name:     "size",
		Pattern:  `^` + sizePattern + `$`,
		Allowed:  `a whole number and a unit, such as 512KiB, 4MiB or 1GiB (KB, MB and GB are powers of 1000)`,
		Examples: []string{"512KiB", "4MiB", "1GiB"},
	}
}

// UnmarshalText reads "4MiB".
func (z *Size) UnmarshalText(text []byte) error {
	if bareNumber.Match(text) {
		return fmt.Errorf("%s has no unit; write %s", text, z.Notation().Allowed)
	}
	m := size.FindSubmatch(text)
	if m == nil {
		return z.Notation().wrong(string(text))
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		return err
	}
	for _, u := range units {
		if u.name != string(m[2]) {
			continue
		}
		if n > (1<<63-1)/int64(u.size) {
			return errOverflow
		}
		*z = Size(n) * u.size
	}
	return nil
}

// MarshalText writes the size in the largest unit that divides it.
func (z Size) MarshalText() ([]byte, error) {
	for _, u := range units {
		if z >= u.size && z%u.size == 0 {
			return fmt.Appendf(nil, "%d%s", z/u.size, u.name), nil
		}
	}
	return []byte("0B"), nil
}

// units are all units, largest first.
var units = [...]struct {
	size Size
	name string
}{{GiB, "GiB"}, {1e9, "GB"}, {MiB, "MiB"}, {1e6, "MB"}, {KiB, "KiB"}, {1e3, "KB"}, {1, "B"}}

// Count is a whole number of things, written as a number or, as the guide
// does, as text.
type Count uint64

// Notation describes counts.
func (Count) Notation() Notation {
	return Notation{
		Name: "count", Pattern: `^(0|[1-9][0-9]{0,14})$`, Allowed: `a whole number, such as 100`,
		Examples: []string{"100"}, Number: true,
	}
}

// UnmarshalText reads "100".
func (c *Count) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 10, 64)
	if err != nil || len(text) > 15 || len(text) > 1 && text[0] == '0' {
		return c.Notation().wrong(string(text))
	}
	*c = Count(n)
	return nil
}

// MarshalText writes the count in digits.
func (c Count) MarshalText() ([]byte, error) { return strconv.AppendUint(nil, uint64(c), 10), nil }
