package opa

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/sallyport/sallyport/mcp"
)

var (
	errJSON = errors.New("opa: value: not the JSON of a decoded message")
	// errNumber is about numbers such as 1e600000000, which some builtins would
	// write out digit by digit.
	errNumber = errors.New("opa: value: a number that is too large or too small to reckon with")
)

// value converts JSON of a decoded message in one pass.
func value(raw json.RawMessage) (ast.Value, error) {
	r := reader{b: raw}
	v, err := r.value(0)
	if err != nil {
		return nil, err
	}
	if r.space(); r.i != len(r.b) {
		return nil, errJSON
	}
	return v, nil
}

type reader struct {
	b []byte
	i int
}

// maxDepth is beyond what any decoder lets through.
const maxDepth = 1024

func (r *reader) value(depth int) (ast.Value, error) {
	if r.space(); r.i >= len(r.b) || depth > maxDepth {
		return nil, errJSON
	}
	switch c := r.b[r.i]; c {
	case '{':
		return r.object(depth)
	case '[':
		return r.array(depth)
	case '"':
		s, err := r.text()
		return ast.String(s), err
	case 't':
		return ast.Boolean(true), r.word("true")
	case 'f':
		return ast.Boolean(false), r.word("false")
	case 'n':
		return ast.Null{}, r.word("null")
	}
	return r.number()
}

func (r *reader) object(depth int) (ast.Value, error) {
	var list [][2]*ast.Term
	for first := true; ; first = false {
		r.i++ // the bracket, or a comma
		if r.space(); first && r.at('}') {
			break
		}
		key, err := r.text()
		if err != nil {
			return nil, err
		}
		if r.space(); !r.at(':') {
			return nil, errJSON
		}
		r.i++
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, [2]*ast.Term{ast.StringTerm(key), ast.NewTerm(v)})
		if r.space(); r.at('}') {
			break
		}
		if !r.at(',') {
			return nil, errJSON
		}
	}
	r.i++
	return ast.NewObject(list...), nil
}

func (r *reader) array(depth int) (ast.Value, error) {
	var list []*ast.Term
	for first := true; ; first = false {
		r.i++
		if r.space(); first && r.at(']') {
			break
		}
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, ast.NewTerm(v))
		if r.space(); r.at(']') {
			break
		}
		if !r.at(',') {
			return nil, errJSON
		}
	}
	r.i++
	return ast.NewArray(list...), nil
}

func (r *reader) text() (string, error) {
	if !r.at('"') {
		return "", errJSON
	}
	for j := r.i + 1; j < len(r.b); j++ {
		switch r.b[j] {
		case '\\':
			j++
		case '"':
			s, err := mcp.Unquote(r.b[r.i : j+1])
			r.i = j + 1
			return s, err
		}
	}
	return "", errJSON
}

func (r *reader) number() (ast.Value, error) {
	start := r.i
	for r.i < len(r.b) && strings.IndexByte("+-.0123456789eE", r.b[r.i]) >= 0 {
		r.i++
	}
	lexeme := string(r.b[start:r.i])
	if lexeme == "" {
		return nil, errJSON
	}
	if e := strings.IndexAny(lexeme, "eE"); e >= 0 {
		if n, err := strconv.Atoi(lexeme[e+1:]); err != nil || n > 308 || n < -308 {
			return nil, errNumber
		}
	}
	return ast.Number(lexeme), nil
}

func (r *reader) word(w string) error {
	if !strings.HasPrefix(string(r.b[r.i:min(len(r.b), r.i+len(w))]), w) {
		return errJSON
	}
	r.i += len(w)
	return nil
}

func (r *reader) at(c byte) bool { return r.i < len(r.b) && r.b[r.i] == c }

func (r *reader) space() {
	for r.i < len(r.b) {
		switch r.b[r.i] {
		case ' ', '\t', '\n', '\r':
			r.i++
		default:
			return
		}
	}
}
