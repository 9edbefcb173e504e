package verify

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"
)

// Filter says which receipts are wanted. What is empty asks for nothing.
type Filter struct {
	Since, Until time.Time // from Since on, before Until
	Subject      string
	Tenant       string
	Server       string
	Tool         string // name of the tool, prompt or resource
	Action       string
	Reason       string
	Closed       string // how it ended; only closing receipts say
	Exchange     string
	Pseudonyms   []string // of any of these, or of Subject
	Records      bool     // also lines that are no receipts
}

// seen is what filters look at.
type seen struct {
	Record    string    `json:"record"`
	Request   string    `json:"request"`
	Time      time.Time `json:"time"`
	Subject   string    `json:"subject"`
	Pseudonym string    `json:"pseudonym"`
	Tenant    string    `json:"tenant"`
	Server    string    `json:"server"`
	Name      string    `json:"name"`
	Action    string    `json:"action"`
	Reason    string    `json:"reason"`
	Closed    string    `json:"closed"`
	Exchange  string    `json:"exchange"`
}

func (f *Filter) wants(line []byte) bool {
	if f.Exchange != "" && !bytes.Contains(line, []byte(f.Exchange)) { // cheap, and most lines end here
		return false
	}
	var s seen
	if json.Unmarshal(line, &s) != nil {
		return false
	}
	return f.fits(&s)
}

// Fits reports whether a receipt is wanted.
func (f *Filter) Fits(r *Receipt) bool { return f.fits(&r.seen) }

func (f *Filter) fits(s *seen) bool {
	is := func(want, have string) bool { return want == "" || want == have }
	if s.Action == "" && s.Request == "" && s.Closed == "" && !f.Records {
		return false
	}
	return (f.Since.IsZero() || !s.Time.Before(f.Since)) && (f.Until.IsZero() || s.Time.Before(f.Until)) &&
		f.person(s) && is(f.Tenant, s.Tenant) && is(f.Server, s.Server) && is(f.Tool, s.Name) &&
		is(f.Action, s.Action) && is(f.Reason, s.Reason) && is(f.Closed, s.Closed) && is(f.Exchange, s.Exchange)
}

func (f *Filter) person(s *seen) bool {
	if f.Subject == "" && len(f.Pseudonyms) == 0 {
		return true
	}
	return s.Subject != "" && s.Subject == f.Subject || s.Pseudonym != "" && slices.Contains(f.Pseudonyms, s.Pseudonym)
}

// Place is where a line was found.
type Place struct {
	File string
	Line uint64
}

// Query calls f with each wanted line of a receipt directory, or of a file of
// plain receipts, in order; the line is valid until f returns. It verifies
// nothing.
func Query(path string, want Filter, f func(at Place, line []byte) (more bool, err error)) error {
	files, err := sources(path)
	if err != nil {
		return err
	}
	for _, file := range files {
		stopped := false
		err := eachLine(file, func(n uint64, line []byte) (bool, error) {
			if !want.wants(line) {
				return true, nil
			}
			more, err := f(Place{file.name(), n}, line)
			stopped = !more
			return more, err
		})
		if err != nil || stopped {
			return err
		}
	}
	return nil
}
