package envoyrun

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"strings"
)

// logs passes Envoy's own log on, line by line, with Envoy's level.
func (p *Process) logs(r io.Reader) {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		if level, line := severity(sc.Text()); line != "" {
			p.Log.Log(context.Background(), level, "envoy", "line", line)
		}
	}
	_, _ = io.Copy(io.Discard, r) // a line beyond the buffer must not block Envoy
}

// severity takes the level off a line of Envoy's log. What has none, such as a
// crash's stack, is an error.
func severity(line string) (slog.Level, string) {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "trace", "debug", "info":
		return slog.LevelDebug, rest
	case "warning":
		return slog.LevelWarn, rest
	case "error", "critical":
		return slog.LevelError, rest
	}
	return slog.LevelError, line
}
