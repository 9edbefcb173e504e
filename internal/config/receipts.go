package config

import (
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport/internal/config/strict"
)

// checkReceipts reports settings of receipts that do not go together. Paths are
// as they were written.
func (c *Config) checkReceipts(at strict.At) {
	r := &c.Receipts
	if p := at.Field("path"); r.Path == "" && p.Exists() {
		p.Report("is empty; write stdout or the path of a file")
	}
	c.checkSealing(at.Field("sealing"))
	directory := at.Field("directory")
	if !directory.Exists() {
		for _, key := range []string{"segment_size", "segment_time", "checkpoint_every", "sign_with", "signed_before", "publish", "keep_for", "keep_undelivered"} {
			if p := at.Field(key); p.Exists() && p.OK() {
				p.Report("means something only with receipts.directory; remove it, or set that")
			}
		}
		return
	}
	if !directory.OK() {
		return
	}
	if r.Directory == "" || r.Directory == "stdout" {
		directory.Report("is no folder; write the path of one that is this gateway's alone")
	}
	if p := at.Field("path"); p.Exists() {
		p.Report("cannot be beside receipts.directory: receipts are kept in one place; remove one of the two")
	}
	if p := at.Field("sign_with"); !p.Exists() {
		p.Report("is required with receipts.directory: what nobody signs, whoever can write the folder can write anew; `sallyport audit keygen` makes a key")
	}
	if p := at.Field("publish"); p.OK() && p.Exists() && (r.Publish == "" || r.Publish == "stdout" || within(r.Directory, r.Publish)) {
		p.Report("must be a file outside of receipts.directory, or whoever cuts that cuts this too")
	}
	if p := at.Field("keep_undelivered"); p.OK() && p.Exists() && r.KeepFor == 0 {
		p.Report("means something only with keep_for")
	}
	if p := at.Field("checkpoint_every"); p.OK() && r.CheckpointEvery > r.SegmentTime {
		p.Report("is longer than receipts.segment_time, %s", r.SegmentTime)
	}
}

// checkSealing reports what would be sealed without a key, and keys that seal
// nothing.
func (c *Config) checkSealing(at strict.At) {
	s := &c.Receipts.Sealing
	seals := s.Subjects == "sealed" || len(s.Payloads) > 0
	keys, wrap := at.Field("keys"), at.Field("wrap_with")
	switch {
	case !at.Exists() || !at.OK():
	case seals && s.Keys == "":
		at.Report("seals something and lacks keys: write the folder of a key ring")
	case !seals && (keys.Exists() || wrap.Exists()):
		at.Report("seals nothing; write subjects: sealed or payloads, or remove it")
	case s.Keys != "" && len(s.WrapWith) == 0:
		keys.Report("needs receipts.sealing.wrap_with: who reads unwrapped keys reads all that they seal; `openssl rand -base64 32` makes one")
	case s.Keys != "" && c.Receipts.Directory != "" && (within(c.Receipts.Directory, s.Keys) || within(s.Keys, c.Receipts.Directory)):
		keys.Report("must be outside of receipts.directory, and not around it: what is copied together cannot be destroyed apart")
	}
}

// within reports whether file is dir or below it.
func within(dir, file string) bool {
	rel, err := filepath.Rel(filepath.Clean(dir), filepath.Clean(file))
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}
