package normal

import "strings"

// span is a part of a text.
type span struct{ start, end int }

// code returns the parts of s that Markdown shows as they are: fenced blocks and
// code spans (CommonMark, 4.5 and 6.1), in order.
//
// What this takes for code is left alone, so it must never see code where a
// renderer sees markup; the other way round costs only beauty. So fences count
// at the top level only, code spans within one line only, and where pairing
// backticks is open to doubt, the rest of the paragraph has no code.
func code(s string) []span {
	if strings.IndexByte(s, '`') < 0 && strings.IndexByte(s, '~') < 0 {
		return nil
	}
	var all []span
	var mark byte // of the open fence
	var length, opened int
	paragraph := -1
	for at := 0; at < len(s); {
		end := at + strings.IndexByte(s[at:], '\n')
		if end < at {
			end = len(s)
		}
		line := s[at:end]
		c, n, rest := fence(line)
		switch {
		case mark != 0:
			if c == mark && n >= length && strings.Trim(rest, " \t") == "" {
				all = append(all, span{opened, end})
				mark = 0
			}
		case n >= 3 && (c == '~' || strings.IndexByte(rest, '`') < 0):
			all = inline(all, s, paragraph, at)
			paragraph = -1
			mark, length, opened = c, n, at
		case strings.Trim(line, " \t") == "":
			all = inline(all, s, paragraph, at)
			paragraph = -1
		case paragraph < 0:
			paragraph = at
		}
		at = end + 1
	}
	if mark != 0 {
		return append(all, span{opened, len(s)})
	}
	return inline(all, s, paragraph, len(s))
}

// fence reads the beginning of a line as that of a fence.
func fence(line string) (mark byte, n int, rest string) {
	i := 0
	for i < len(line) && i < 4 && line[i] == ' ' {
		i++
	}
	if i == 4 || i == len(line) || line[i] != '`' && line[i] != '~' {
		return 0, 0, ""
	}
	mark = line[i]
	for i+n < len(line) && line[i+n] == mark {
		n++
	}
	return mark, n, line[i+n:]
}

// inline appends the code spans of the paragraph from start to end, if there
// is one.
func inline(all []span, s string, start, end int) []span {
	if start < 0 {
		return all
	}
	var runs []span
	for i := start; i < end; {
		if s[i] != '`' {
			i++
			continue
		}
		n := i
		for n < end && s[n] == '`' {
			n++
		}
		runs = append(runs, span{i, n})
		i = n
	}
	partner := make([]int, len(runs)) // the next run of the same length; 0 for none
	last := make(map[int]int)
	for i := len(runs) - 1; i >= 0; i-- {
		n := runs[i].end - runs[i].start
		partner[i] = last[n]
		last[n] = i
	}
	for i := 0; i < len(runs); i++ {
		if runs[i].start > 0 && s[runs[i].start-1] == '\\' {
			return all // an escaped run is shorter for some than for others
		}
		if partner[i] == 0 {
			continue
		}
		one := span{runs[i].start, runs[partner[i]].end}
		if strings.IndexByte(s[one.start:one.end], '\n') >= 0 {
			return all // a list or a table may end the paragraph in between
		}
		all = append(all, one)
		i = partner[i]
	}
	return all
}

// cursor walks through code parts beside a walk through the text. It is asked
// with growing places only.
type cursor struct {
	parts []span
	next  int
}

// from returns the first code part that begins at i or later, an empty one
// behind the text of length n where there is none.
func (c *cursor) from(i, n int) span {
	for c.next < len(c.parts) && c.parts[c.next].start < i {
		c.next++
	}
	if c.next < len(c.parts) {
		return c.parts[c.next]
	}
	return span{n, n}
}

// maxPrefix is how much of a line is looked at for the marks of quotes and lists.
const maxPrefix = 64

// beginsLine reports whether what comes after text is the first in its line,
// but for the marks of quotes and lists. In doubt it is.
func beginsLine(text string) bool {
	for i := len(text) - 1; i >= 0 && text[i] != '\n'; i-- {
		switch c := text[i]; {
		case c == ' ', c == '\t', c == '>', c == '-', c == '*', c == '+', c == '.', c == ')', c >= '0' && c <= '9':
		default:
			return false
		}
	}
	return true
}
