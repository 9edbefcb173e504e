package deliver

import "errors"

// begin finds where the sink goes on, and remembers it.
func (w *worker) begin(o *Options, before *worker, begun bool) error {
	known := true
	if before != nil { // nobody else can have changed that
		w.cursor, w.letters.Pile, w.older, w.maskKey, w.looked = before.cursor, before.letters.Pile, before.older, before.maskKey, before.looked
	} else {
		known = w.recall(o, begun)
	}
	if w.Mask != nil && w.Mask.key == nil {
		key, err := w.blindKey()
		if err != nil {
			return err
		}
		w.Mask.use(key)
	}
	if err := w.place(known); err != nil {
		return err
	}
	if err := w.openLetters(); err != nil {
		return err
	}
	w.dirty = true
	w.save(true)
	return nil
}

// place finds where the sink goes on.
func (w *worker) place(known bool) error {
	last, err := lastSegment(w.source)
	if err != nil {
		return err
	}
	c := w.cursor
	switch {
	case !known && w.Newest:
		if c.At, err = end(w.source, w.writes); err != nil {
			return err
		}
	case known:
		err := c.verify(w.source, last)
		if err != nil {
			c.Line = ""
			if errors.Is(err, errCut) {
				c.At.Offset = 0 // what comes again is of one segment
			} else {
				c.At, c.Good, c.Aside = Position{}, nil, nil
			}
		}
		if !checkpointEnd(w.source, c.At.Checkpoints) {
			c.At.Checkpoints = 0
		}
		if err != nil {
			w.distrust(err.Error())
			c.Distrusted = w.cursor.Distrusted
		}
	}
	if c.Steered.IsZero() {
		c.Steered = w.now().UTC()
	}
	if known && w.Overlap > 0 && !c.Through.IsZero() && c.At.Segment > 0 {
		back, err := since(w.source, c.Through.Add(-w.Overlap), w.writes)
		if err != nil {
			return err
		}
		if back.Seq < c.At.Seq {
			back.Checkpoints = c.At.Checkpoints
			c.At, c.Line = back, ""
		}
	}
	c.rewind(c.At)
	w.cursor = c
	return nil
}
