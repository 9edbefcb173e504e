package checksum

import (
	"crypto/sha256"
	"math/big"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ip accepts addresses that can belong to somebody's machine: neither loopback,
// unspecified nor multicast, and no netmask.
func ip(s string) bool {
	s = strings.Trim(s, "[]")
	if i := strings.IndexAny(s, "%/"); i >= 0 {
		s = s[:i]
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.IsLoopback() || a.IsUnspecified() || a.IsMulticast() {
		return false
	}
	if a.Is4() {
		b := a.As4()
		return b[0] != 0 && b != [4]byte{255, 255, 255, 255} && !(b[0] == 255 && b[1] == 255)
	}
	// abc::de is an expression in many languages; an address has digits or more groups.
	return strings.Count(s, ":") > 3 || strings.Count(s, ":") > 2 && hasDigit(s) || strings.HasPrefix(strings.ToLower(s), "fe80:") || strings.HasPrefix(s, "2001:") || strings.HasPrefix(s, "2a")
}

func mac(s string) bool {
	c := clean(s)
	return len(c) == 12 && strings.Trim(c, c[:1]) != ""
}

// phone checks the length and, after a plus sign, that a country code can begin so.
func phone(s string) bool {
	number := s
	for i := 1; i < len(s); i++ {
		if c := s[i]; c == 'x' || c == 'X' || c == '#' { // an extension
			number = s[:i]
			break
		}
	}
	d := digits(number)
	if strings.HasPrefix(s, "+") && d[0] == 0 {
		return false
	}
	return len(d) >= 7 && len(d) <= 15 && notUniform(s)
}

// email refuses what only looks like an address: scale suffixes of images and
// the git user of repository addresses.
func email(s string) bool {
	for _, r := range s { // patterns take all characters beyond ASCII for one another
		if r >= utf8.RuneSelf && !unicode.In(r, unicode.L, unicode.M, unicode.N) {
			return false
		}
	}
	local, host, _ := strings.Cut(strings.ToLower(s), "@")
	top := host[strings.LastIndexByte(host, '.')+1:]
	switch top {
	case "png", "jpg", "jpeg", "gif", "svg", "webp", "js", "ts", "css", "py", "go", "rs", "json", "yaml", "yml", "service", "socket", "timer", "target", "mount":
		return false
	}
	return local != "git" && !strings.HasPrefix(local, ".") && !strings.HasSuffix(local, ".") && !strings.Contains(local, "..")
}

// date accepts year-month-day in any of the usual orders, of a century in which
// living people were born.
func date(s string) bool {
	var n []int
	for i := 0; i < len(s); {
		if s[i] < '0' || s[i] > '9' {
			i++
			continue
		}
		j := i
		for j < len(s) && s[j] >= '0' && s[j] <= '9' {
			j++
		}
		n = append(n, number(s[i:j]))
		i = j
	}
	for _, v := range n {
		if v > 31 && (v < 1890 || v > 2035) && v > 99 {
			return len(n) == 1 // 19840517
		}
	}
	return true
}

const base58Digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// base58 is Base58Check: the last four bytes are a double hash of the others.
func base58(s string) bool {
	n := new(big.Int)
	for i := range len(s) {
		d := strings.IndexByte(base58Digits, s[i])
		if d < 0 {
			return false
		}
		n.Add(n.Mul(n, big.NewInt(58)), big.NewInt(int64(d)))
	}
	if n.BitLen() > 200 {
		return false
	}
	raw := n.FillBytes(make([]byte, 25))
	once := sha256.Sum256(raw[:21])
	twice := sha256.Sum256(once[:])
	return string(twice[:4]) == string(raw[21:])
}

// bech32 is BIP 173 and BIP 350.
func bech32(s string) bool {
	s = strings.ToLower(s)
	i := strings.LastIndexByte(s, '1')
	if i < 1 || len(s)-i < 7 {
		return false
	}
	generator := [5]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3}
	sum := uint32(1)
	feed := func(v uint32) {
		top := sum >> 25
		sum = (sum&0x1ffffff)<<5 ^ v
		for b, g := range generator {
			if top>>b&1 == 1 {
				sum ^= g
			}
		}
	}
	for k := range i {
		feed(uint32(s[k] >> 5))
	}
	feed(0)
	for k := range i {
		feed(uint32(s[k] & 31))
	}
	for k := i + 1; k < len(s); k++ {
		d := strings.IndexByte("qpzry9x8gf2tvdw0s3jn54khce6mua7l", s[k])
		if d < 0 {
			return false
		}
		feed(uint32(d))
	}
	return sum == 1 || sum == 0x2bc830a3
}

// address accepts what can be a postal address where one is said to stand:
// several words and a number.
func address(s string) bool {
	return len(s) <= 200 && hasDigit(s) && len(strings.Fields(s)) >= 3 && !strings.ContainsAny(s, "{}[]<>@=") && !strings.Contains(s, "://")
}

// account accepts as many digits as bank accounts have.
func account(s string) bool {
	n := len(digits(s))
	return n >= 7 && n <= 17
}
