package strict

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// MaxBytes is the largest file that is read: room for tens of thousands of
// servers, and an end to what a wrong path can do to memory.
const MaxBytes = 16 << 20

// file is one parsed file and what was found wrong in it so far.
type file struct {
	name     string
	problems Problems
	broken   map[string]bool // paths with a problem (true), and all paths above them
}

// Parse reads the one YAML document of a file. Aliases, anchors, merge keys,
// tags and repeated keys are problems; the tree without them is returned, so
// that decoding can go on to find the rest.
func Parse(name string, data []byte) At {
	f := &file{name: name, broken: make(map[string]bool)}
	at := At{file: f}
	if len(data) > MaxBytes {
		at.Report("is larger than %d MiB", MaxBytes>>20)
		return at
	}
	if i := invalid(data); i >= 0 {
		line, column := position(data, i)
		f.report(line, column, "", "is not text in UTF-8")
		return at
	}
	root, more, err := documents(data)
	var syntax *yaml.LoadError
	switch {
	case errors.As(err, &syntax):
		f.report(syntax.Mark.Line, syntax.Mark.Column, "", syntax.Message)
	case err != nil:
		at.Report("%v", err)
	case root == nil:
		f.report(1, 1, "", "is empty; it must hold at least one setting")
	case more != nil:
		f.report(more.Line, more.Column, "", "a second document begins here; one file holds one document")
	}
	if root != nil && len(f.problems) == 0 {
		at.node = root
		f.sift(root, "")
	}
	return at
}

// documents returns the first document's content and, if there is one, the
// node where a second begins. A panic of the parser is an error: a file that is
// being edited must not take a running gateway down.
func documents(data []byte) (root, second *yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			root, err = nil, fmt.Errorf("cannot be parsed: %v", r)
		}
	}()
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithUniqueKeys(false))
	if err != nil {
		return nil, nil, err
	}
	var first, next yaml.Node
	if err := loader.Load(&first); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil, nil
		}
		return nil, nil, err
	}
	if root = content(&first); root == nil || root.Kind == yaml.ScalarNode && root.Tag == "!!null" && root.Value == "" {
		root = nil
	}
	switch err := loader.Load(&next); {
	case errors.Is(err, io.EOF):
		return root, nil, nil
	case err != nil:
		return nil, nil, err
	}
	return root, &next, nil
}

func content(doc *yaml.Node) *yaml.Node {
	if doc.Kind != yaml.DocumentNode {
		return doc
	}
	if len(doc.Content) == 0 {
		return nil
	}
	return doc.Content[0]
}

// sift reports and removes what no setting may use, wherever it stands.
func (f *file) sift(n *yaml.Node, path string) {
	if n.Anchor != "" {
		f.report(n.Line, n.Column, path, "anchors and aliases are not allowed; write the value out")
	}
	if n.Style&yaml.TaggedStyle != 0 {
		f.report(n.Line, n.Column, path, "tags are not allowed; remove "+n.Tag)
	}
	switch n.Kind {
	case yaml.AliasNode:
		f.report(n.Line, n.Column, path, "anchors and aliases are not allowed; write the value out")
		n.Alias = nil // nothing may follow it any more
	case yaml.SequenceNode:
		for i, child := range n.Content {
			f.sift(child, fmt.Sprintf("%s[%d]", path, i))
		}
	case yaml.MappingNode:
		f.siftKeys(n, path)
	}
}

func (f *file) siftKeys(n *yaml.Node, path string) {
	seen := make(map[string]*yaml.Node, len(n.Content)/2)
	kept := n.Content[:0]
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		first := seen[key.Value]
		switch {
		case key.Kind != yaml.ScalarNode:
			f.report(key.Line, key.Column, path, "a key must be text")
			continue
		case key.Value == "<<" && key.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0:
			f.report(key.Line, key.Column, path, "merge keys are not allowed; write the settings out")
			continue
		case first != nil:
			f.report(key.Line, key.Column, join(path, key.Value), fmt.Sprintf("is already set in line %d; keep one", first.Line))
			continue
		case key.Anchor != "" || key.Style&yaml.TaggedStyle != 0:
			f.report(key.Line, key.Column, join(path, key.Value), "a key cannot have an anchor or a tag")
		}
		seen[key.Value] = key
		kept = append(kept, key, value)
		f.sift(value, join(path, key.Value))
	}
	n.Content = kept
}

// invalid returns the offset of the first byte that is not UTF-8, or -1.
func invalid(data []byte) int {
	if utf8.Valid(data) {
		return -1
	}
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

func position(data []byte, offset int) (line, column int) {
	before := data[:offset]
	start := bytes.LastIndexByte(before, '\n') + 1
	return 1 + bytes.Count(before, []byte{'\n'}), 1 + utf8.RuneCount(before[start:])
}
