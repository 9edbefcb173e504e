package segment

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
	"github.com/sallyport/sallyport/segment"
)

// mostChecked bounds the signatures of one message, each of which costs as much
// as judging a message.
const mostChecked = 32

// check verifies the signature of one place.
func (g *verifier) check(v *segment.Verifier, x *guard.Exchange, p place, checked *int) finding {
	f := finding{pointer: p.pointer, about: p.about, late: p.late}
	meta, _ := mcp.Member(p.raw, "_meta")
	envelope, ok := mcp.Member(meta, segment.Key)
	if !ok {
		return f
	}
	if p.late {
		f.why = "it is not known what this answers"
		return f
	}
	if *checked++; *checked > mostChecked {
		f.why = fmt.Sprintf("it is beyond the first %d signatures of the message", mostChecked)
		return f
	}
	about := p.about
	if arguments, ok := asked.Get(x); ok && about.Method != "sampling/createMessage" {
		about.Arguments = arguments
	}
	key, err := v.Verify(about, p.raw, envelope)
	switch {
	case errors.Is(err, segment.ErrUnknownKey):
		f.why = "nobody who may sign this has the key"
		return f
	case err != nil:
		f.status, f.why = invalid, strings.TrimPrefix(err.Error(), "segment: ")
		return f
	}
	digest, err := segment.Digest(p.about, p.raw)
	if err != nil {
		f.status, f.why = invalid, err.Error()
		return f
	}
	f.status, f.by, f.digest = verified, key.Owner, digest
	return f
}

// blocks verifies the blocks of a result one by one. every reports whether all
// that a model reads of it is verified so.
func (g *verifier) blocks(v *segment.Verifier, x *guard.Exchange, p place, checked *int) (list []finding, every bool) {
	member := map[string]string{"tools/call": "content", "resources/read": "contents"}[p.about.Method]
	blocks, ok := mcp.Member(p.raw, member)
	if member == "" || !ok {
		return nil, false
	}
	_, structured := mcp.Member(p.raw, "structuredContent")
	i, every := 0, !structured
	for raw := range mcp.Elements(blocks) {
		if len(list) == mostChecked {
			return list, false
		}
		about := p.about
		about.Part = segment.Block
		f := g.check(v, x, place{p.pointer + "/" + member + "/" + strconv.Itoa(i), about, raw, p.late}, checked)
		if i++; f.status != unsigned || f.why != "" {
			list = append(list, f)
		}
		every = every && f.status == verified
	}
	return list, every && i > 0
}
