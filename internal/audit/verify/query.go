package verify

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sallyport/sallyport/internal/audit/chain"
	"github.com/sallyport/sallyport/internal/audit/ledger"
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
			more, err := f(Place{filepath.Base(file), n}, line)
			stopped = !more
			return more, err
		})
		if err != nil || stopped {
			return err
		}
	}
	return nil
}

func sources(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	numbers, err := ledger.Segments(path)
	if err != nil {
		return nil, err
	}
	if len(numbers) == 0 {
		return nil, fmt.Errorf("verify: %s holds no receipt segments", path)
	}
	files := make([]string, len(numbers))
	for i, n := range numbers {
		files[i] = filepath.Join(path, ledger.SegmentFile(n))
		if info, err := os.Stat(files[i]); err == nil && !info.Mode().IsRegular() {
			return nil, fmt.Errorf("verify: %s is no regular file", files[i])
		}
	}
	return files, nil
}

// eachLine calls f with each whole line of a file, numbered from 1.
func eachLine(path string, f func(n uint64, line []byte) (more bool, err error)) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	defer file.Close()
	r := bufio.NewReaderSize(file, 1<<18)
	for n := uint64(1); ; n++ {
		line, err := chain.ReadLine(r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("verify: %s: %w", path, err)
		}
		if more, err := f(n, line); err != nil || !more {
			return err
		}
	}
}
