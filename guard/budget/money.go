package budget

import (
	"math/bits"
	"strconv"
	"strings"
)

// scale returns n × price / per, rounded up: a call is never cheaper than its
// price says. What is too much becomes [Most].
func scale(n, price, per int64) int64 {
	if n <= 0 || price <= 0 {
		return 0
	}
	high, low := bits.Mul64(uint64(n), uint64(price))
	low, carry := bits.Add64(low, uint64(per-1), 0)
	high += carry
	if high >= uint64(per) {
		return Most
	}
	q, _ := bits.Div64(high, low, uint64(per))
	return int64(min(q, Most))
}

// plus returns a + b, at most [Most].
func plus(a, b int64) int64 { return min(Most, a+b) }

// dollars writes an amount of money.
func dollars(micro int64) string {
	s := "$" + strconv.FormatInt(micro/1_000_000, 10)
	if rest := micro % 1_000_000; rest != 0 {
		digits := strconv.FormatInt(1_000_000+rest, 10)[1:]
		s += "." + strings.TrimRight(digits, "0")
	}
	return s
}
