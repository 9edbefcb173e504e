package wire

import "bytes"

// EachEvent calls visit for the data of every event of the stream raw. at maps
// an offset in the data to one in raw.
func EachEvent(raw []byte, visit func(data []byte, at func(int) int)) {
	var (
		data   []byte
		starts []int // in data, where each line of it begins
		places []int // in raw
	)
	flush := func() {
		if len(starts) > 0 {
			visit(data, func(i int) int {
				k := len(starts) - 1
				for k > 0 && starts[k] > i {
					k--
				}
				return places[k] + i - starts[k]
			})
		}
		data, starts, places = nil, nil, nil
	}
	for i := 0; i < len(raw); {
		end := bytes.IndexAny(raw[i:], "\r\n")
		if end < 0 {
			end = len(raw) - i
		}
		line := raw[i : i+end]
		switch rest, ok := bytes.CutPrefix(line, []byte("data:")); {
		case ok:
			from := i + len("data:")
			if len(rest) > 0 && rest[0] == ' ' {
				rest, from = rest[1:], from+1
			}
			if len(starts) > 0 {
				data = append(data, '\n')
			}
			starts, places = append(starts, len(data)), append(places, from)
			data = append(data, rest...)
		case len(line) == 0:
			flush()
		}
		i += end
		if bytes.HasPrefix(raw[i:], []byte("\r\n")) {
			i++
		}
		i++
	}
	flush()
}
