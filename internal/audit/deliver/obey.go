package deliver

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"time"
)

// obey does what operators asked of the sink after it remembered its place, as the log
// has it. What it remembers is signed, and can still be an old copy: one from before a
// replay would have it forgotten, and one from a pause would have it paused again.
// Whoever makes up a command can have receipts come again, and no more.
func (w *worker) obey(ctx context.Context) {
	if w.looked {
		return
	}
	w.looked = true
	w.mu.Lock()
	at, after, paused := w.cursor.At, w.cursor.Steered, w.cursor.Paused
	w.mu.Unlock()
	if after.IsZero() {
		return
	}
	r := reader{dir: w.source, last: w.writes}
	defer r.close()
	r.seek(at)
	var from *time.Time
	resumed := false
	for {
		if ctx.Err() != nil {
			w.looked = false // there may be much to read; the next one looks
			return
		}
		lines, err := r.lines(10_000, 4<<20)
		if err != nil {
			w.log.Warn("commands to a sink cannot be looked for", "sink", w.Name, "err", err)
			break
		}
		if len(lines) == 0 {
			break
		}
		for _, l := range lines {
			switch c := commandOf(l.text); {
			case c == nil || c.sink != w.Name || !c.at.After(after):
			case c.what == "replay":
				if from == nil || c.from.Before(*from) {
					from = &c.from
				}
			case c.what == "resume":
				resumed = true
			case c.what == "pause":
				resumed = false
			}
		}
	}
	w.mu.Lock()
	steered := !w.cursor.Steered.Equal(after) // meanwhile: an end of a pause is not the last word
	w.mu.Unlock()
	if from != nil {
		w.redo(*from)
	}
	if paused && resumed && !steered {
		w.mu.Lock()
		w.cursor.Paused, w.cursor.Since, w.cursor.Steered, w.dirty = false, time.Time{}, w.now().UTC(), true
		w.mu.Unlock()
		w.distrust("what it remembers is older than the log, which says that it was resumed: it goes on")
	}
	w.save(true)
}

// redo replays.
func (w *worker) redo(from time.Time) {
	p, err := since(w.source, from, w.writes)
	if err != nil {
		p = Position{}
	}
	w.mu.Lock()
	was := w.cursor.At
	w.again(p)
	w.cursor.Replayed, w.cursor.Steered, w.dirty = &from, w.now().UTC(), true
	moved := w.cursor.At != was
	w.mu.Unlock()
	if moved {
		w.distrust("what it remembers is older than the log, which says that it was to be replayed: it is")
	}
}

// command is what an operator asked of a sink.
type command struct {
	what, sink string
	at, from   time.Time
}

var adminExchange = []byte(`"exchange":"admin-`)

// commandOf reads the receipt of one; nil for anything else.
func commandOf(line []byte) *command {
	if !bytes.Contains(line, adminExchange) {
		return nil
	}
	var r struct {
		Time     time.Time `json:"time"`
		Exchange string    `json:"exchange"`
		Detail   string    `json:"detail"`
		Events   []struct{ Kind, Guard string }
	}
	if json.Unmarshal(line, &r) != nil || !strings.HasPrefix(r.Exchange, "admin-") || len(r.Events) != 1 || r.Events[0].Guard != "sinks" {
		return nil
	}
	c := &command{at: r.Time}
	var ok bool
	if c.what, ok = strings.CutPrefix(r.Events[0].Kind, "sink_"); !ok {
		return nil
	}
	body, ok := strings.CutPrefix(r.Detail, "admin: "+c.what+" ")
	var asked struct {
		Sink string    `json:"sink"`
		From time.Time `json:"from"`
	}
	if !ok || json.Unmarshal([]byte(body), &asked) != nil {
		return nil
	}
	c.sink, c.from = asked.Sink, asked.From
	return c
}
