package registry

// maxName is the length of the longest name of a server or version.
const maxName = 63

// ValidName reports whether s can name a server: 1 to 63 of a-z, 0-9 and inner
// hyphens. A name is a path segment, a DNS label, and part of metrics.
func ValidName(s string) bool { return valid(s, false) }

// ValidVersion reports whether s can name a version: as for servers, and inner
// dots and underscores. A version travels in session ids before a tilde.
func ValidVersion(s string) bool { return valid(s, true) }

func valid(s string, more bool) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case c == '-' || more && (c == '.' || c == '_'):
			if i == 0 || i == len(s)-1 {
				return false
			}
		default:
			return false
		}
	}
	return true
}
