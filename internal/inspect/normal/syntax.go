package normal

import "strings"

// maxDestination bounds how long the destination of a link with its title may
// be. A longer one is taken apart.
const maxDestination = 2048

// inlineDestination reads "(destination "title")" (CommonMark, 6.3). The length
// is 0 where there is none, and negative where it is too long to tell.
func inlineDestination(s string) (destination string, length int) {
	cut := s
	if len(cut) > maxDestination {
		cut = cut[:maxDestination]
	}
	tooLong := 0
	if len(cut) < len(s) {
		tooLong = -1
	}
	i := skipSpace(cut, 1)
	destination, i = destinationAt(cut, i)
	if i < 0 {
		if i == -2 {
			return "", tooLong
		}
		return "", 0
	}
	after := skipSpace(cut, i)
	if after == len(cut) {
		return "", tooLong
	}
	if cut[after] == ')' {
		return destination, after + 1
	}
	if after == i {
		return "", 0
	}
	end := titleEnd(cut, after)
	switch {
	case end == 0:
		return "", 0
	case end < 0:
		return "", tooLong
	}
	end = skipSpace(cut, end)
	if end == len(cut) {
		return "", tooLong
	}
	if cut[end] != ')' {
		return "", 0
	}
	return destination, end + 1
}

// definition reads what follows "[label]:", up to the end of its line.
func definition(s string) (destination string, length int) {
	cut := s[:min(len(s), maxDestination)]
	i := skipSpace(cut, 0)
	destination, i = destinationAt(cut, i)
	if i <= 0 || destination == "" {
		if i == -2 {
			return strings.Repeat("x:", maxDestination), len(cut)
		}
		return "", 0
	}
	if eol := strings.IndexByte(s[i:], '\n'); eol >= 0 {
		return destination, i + eol
	}
	return destination, len(s)
}

// destinationAt reads a destination at i and returns where it ends: -1 where
// there is none, -2 where the text ends first.
func destinationAt(s string, i int) (destination string, end int) {
	if i >= len(s) {
		return "", -2
	}
	if s[i] == '<' {
		for k := i + 1; k < len(s); k++ {
			switch s[k] {
			case '\\':
				k++
			case '\n', '<':
				return "", -1
			case '>':
				return s[i+1 : k], k + 1
			}
		}
		return "", -2
	}
	depth := 0
	k := i
	for ; k < len(s); k++ {
		switch c := s[k]; {
		case c == '\\' && k+1 < len(s) && s[k+1] > ' ':
			k++
		case c == '(':
			if depth++; depth > 32 { // renderers stop there as well
				return "", -1
			}
		case c == ')':
			if depth == 0 {
				return s[i:k], k
			}
			depth--
		case c <= ' ':
			return s[i:k], k
		}
	}
	return s[i:min(k, len(s))], min(k, len(s))
}

// titleEnd returns where the title at i ends: 0 where there is none, negative
// where the text ends first.
func titleEnd(s string, i int) int {
	mark := s[i]
	if mark == '(' {
		mark = ')'
	} else if mark != '"' && mark != '\'' {
		return 0
	}
	for k := i + 1; k < len(s); k++ {
		switch s[k] {
		case '\\':
			k++
		case mark:
			return k + 1
		}
	}
	return -1
}

// autolink measures <scheme:rest> and <name@host> (CommonMark, 6.5). Where they
// lead is for links to judge.
func autolink(s string) int {
	end := strings.IndexAny(s[1:min(len(s), maxDestination)], "<> \t\n`")
	if end < 0 || s[1+end] != '>' || !strings.ContainsAny(s[1:1+end], ":@") {
		return 0
	}
	return end + 2
}

func skipSpace(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t' || s[i] == '\n') {
		i++
	}
	return i
}
