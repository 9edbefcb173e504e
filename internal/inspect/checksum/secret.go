package checksum

import (
	"encoding/base64"
	"math"
	"strings"
)

// entropy is Shannon's, in bits per byte.
func entropy(s string) float64 {
	var count [256]int
	for i := range len(s) {
		count[s[i]]++
	}
	e := 0.0
	for _, n := range count {
		if n > 0 {
			p := float64(n) / float64(len(s))
			e -= p * math.Log2(p)
		}
	}
	return e
}

// placeholder reports whether s stands where a secret will be: a variable, a
// call, a hint to the reader or a row of one character.
func placeholder(s string) bool {
	lower := strings.ToLower(s)
	for _, p := range [...]string{"${", "{{", "$(", "%(", "<", "[", "...", "***", "xxx", "___"} {
		if strings.Contains(lower, p) {
			return true
		}
	}
	if strings.HasPrefix(s, "$") && wordy(s[1:]) || strings.HasPrefix(s, "%") && strings.HasSuffix(s, "%") {
		return true
	}
	for _, w := range [...]string{"example", "sample", "placeholder", "changeme", "change_me", "change-me", "your_", "your-", "redacted", "dummy", "process.env", "os.environ", "getenv", "getpass", "config.", "settings.", "vault:", "secretref", "env:", "file:", "not-a-", "insert"} {
		if strings.Contains(lower, w) {
			return true
		}
	}
	var seen [256]bool
	different := 0
	for i := range len(s) {
		if !seen[s[i]] {
			seen[s[i]] = true
			different++
		}
	}
	return different < 4 || strings.HasSuffix(s, "(") || strings.Contains(s, "()")
}

func wordy(s string) bool {
	for i := range len(s) {
		if c := s[i]; c|0x20 < 'a' || c|0x20 > 'z' {
			if c != '_' && c != '-' && c != '.' {
				return false
			}
		}
	}
	return true
}

// kinds counts the kinds of characters: lower, upper, digits, others.
func kinds(s string) (n int, digit bool) {
	var has [4]bool
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z':
			has[0] = true
		case c >= 'A' && c <= 'Z':
			has[1] = true
		case c >= '0' && c <= '9':
			has[2] = true
		default:
			has[3] = true
		}
	}
	for _, h := range has {
		if h {
			n++
		}
	}
	return n, has[2]
}

// secretlike reports whether s looks drawn at random, as keys and tokens are.
func secretlike(s string) bool {
	if len(s) < 12 || uuid(s) {
		return false
	}
	n, digit := kinds(s)
	if len(s) >= 32 && !digit {
		return n >= 2 && entropy(s) > 4 && !wordy(s) && !placeholder(s)
	}
	return digit && (n >= 2 || len(s) >= 24) && entropy(s) > 2.8 && !placeholder(s)
}

// uuid is refused because identifiers are written so far more often than secrets.
func uuid(s string) bool {
	return len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-'
}

// passwordlike reports whether s looks chosen to be hard to guess: characters
// of several kinds, or a long one, and no mere word.
func passwordlike(s string) bool {
	if len(s) < 6 || len(s) > 200 || timestamp(s) {
		return false
	}
	if strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "/") {
		return false
	}
	n, digit := kinds(s)
	ok := n >= 3 || n == 2 && digit && len(s) >= 8 || n >= 2 && len(s) >= 12 && (!wordy(s) || mixed(s))
	return ok && !placeholder(s)
}

// timestamp reports whether s begins as dates do in ISO 8601.
func timestamp(s string) bool {
	if len(s) < 10 || s[4] != '-' || s[7] != '-' {
		return false
	}
	return len(digits(s[:10])) == 8
}

// mixed reports whether capitals stand where no word has them.
func mixed(s string) bool {
	n := 0
	for i := 1; i < len(s); i++ {
		if s[i-1] >= 'a' && s[i-1] <= 'z' && s[i] >= 'A' && s[i] <= 'Z' {
			n++
		}
	}
	return n > 2 && n*6 > len(s)
}

// base64Key accepts what decodes to bytes that are no text.
func base64Key(s string) bool {
	_, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
	return err == nil && entropy(s) > 4
}

func notPlaceholder(s string) bool { return len(s) > 2 && !placeholder(s) && !standIn(s) }

// standIn reports whether s is what manuals write where a password goes.
func standIn(s string) bool {
	switch strings.ToLower(strings.Trim(s, "_-")) {
	case "password", "passwd", "pass", "pwd", "secret", "token", "mypassword", "mypass", "yourpassword", "my_password", "passw0rd_here", "key", "apikey", "api_key":
		return true
	}
	return false
}

// basic accepts the credentials of HTTP basic authentication: user, colon, password.
func basic(s string) bool {
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
	return err == nil && strings.Contains(string(b), ":")
}

// secretAlone and passwordAlone are for values that only the words around them
// show to be secret, so the values themselves must be very unlike words.
func secretAlone(s string) bool {
	n, _ := kinds(s)
	return len(s) >= 20 && secretlike(s) && (n >= 3 || entropy(s) > 3.2) && !strings.Contains(s, "/") && !strings.Contains(s, "://")
}

func passwordAlone(s string) bool {
	n, digit := kinds(s)
	return len(s) >= 8 && n == 4 && digit && passwordlike(s) && !strings.ContainsAny(s, "/=:(){}[]")
}
