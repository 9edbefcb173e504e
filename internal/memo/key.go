package memo

import (
	"encoding/binary"
	"strings"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/policy"
)

// Key appends everything that a decision may depend on without reading
// a volatile member: each text after its length, so that no two inputs have
// one key.
func Key(b []byte, s policy.Step, in *policy.Input) []byte {
	b = append(b, byte(s), byte(in.Direction), byte(in.Kind), byte(in.Revision))
	b = text(b, in.Method)
	b = text(b, string(in.Target.Kind))
	b = text(b, in.Target.Name)
	b = AppendServer(b, in.Server)
	t, known := in.Tool()
	b = AppendTool(b, t, known)
	b = appendFlow(b, in.Labels)
	return AppendPrincipal(b, in.Principal)
}

// appendFlow appends the labels of which a policy reads as input.flow. Most
// callers carry none.
func appendFlow(b []byte, labels []string) []byte {
	for _, l := range labels {
		if strings.HasPrefix(l, guard.OfTask) || strings.HasPrefix(l, guard.OfCaller) || strings.HasPrefix(l, guard.OfArguments) {
			b = text(b, l)
		}
	}
	return append(b, 0) // no label is empty
}

// AppendServer appends what is registered of a server.
func AppendServer(b []byte, s *guard.Server) []byte {
	b = text(b, s.Name)
	b = text(b, s.Owner)
	b = text(b, s.Domain)
	b = text(b, s.Classification)
	return text(b, s.Clearance)
}

// AppendTool appends what is registered of a tool.
func AppendTool(b []byte, t guard.Tool, known bool) []byte {
	facts := byte(0)
	for i, fact := range [...]bool{known, t.Sensitive, t.ReadOnly, t.Destructive, t.Idempotent, t.External, t.Financial} {
		if fact {
			facts |= 1 << i
		}
	}
	b = append(b, facts)
	b = text(b, t.Classification)
	b = text(b, t.Clearance)
	return text(b, t.Risk)
}

// AppendPrincipal appends what of a principal belongs to no call alone.
func AppendPrincipal(b []byte, p *guard.Principal) []byte {
	b = text(b, p.Subject)
	b = text(b, p.Issuer)
	b = text(b, p.Agent)
	b = text(b, p.Client)
	b = text(b, p.Tenant)
	b = text(b, p.Task)
	b = text(b, p.TaskType)
	b = text(b, p.Peer)
	b = texts(b, p.Actors)
	b = texts(b, p.Roles)
	return texts(b, p.Scopes)
}

func text(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func texts(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = text(b, s)
	}
	return b
}
