package chain

import (
	"bufio"
	"bytes"
	"errors"
)

// maxLine bounds what is read as one line: more than the spool lets in.
const maxLine = 64 << 20

// ReadLine returns a line without its end, or what there is with io.EOF. It is
// valid until the next call.
func ReadLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if err == nil {
		return line[:len(line)-1], nil
	}
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	long := bytes.Clone(line)
	for errors.Is(err, bufio.ErrBufferFull) && len(long) < maxLine {
		line, err = r.ReadSlice('\n')
		long = append(long, line...)
	}
	switch {
	case err == nil:
		return long[:len(long)-1], nil
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, errors.New("a line is longer than any receipt")
	}
	return long, err
}
