package sealed

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/binding"
)

// Binder implements the guard's port with keys.
type Binder struct{ *Keys }

var owners = guard.NewSlot[*Owner]() // of exchanges that met an id

// Seal implements binding.Sealer.
func (b Binder) Seal(kind binding.Kind, x *guard.Exchange, id string) (string, bool) {
	return b.Keys.Seal(byte(kind), owner(x), id)
}

// Open implements binding.Sealer.
func (b Binder) Open(kind binding.Kind, x *guard.Exchange, text string) (string, bool) {
	return b.Keys.Open(byte(kind), owner(x), text)
}

func owner(x *guard.Exchange) *Owner {
	if o, ok := owners.Get(x); ok {
		return o
	}
	o := OwnerOf(x.Server.Name, &x.Principal)
	owners.Set(x, &o)
	return &o
}

// OwnerOf digests what makes a caller of a server the same one tomorrow, with a
// fresh token or a rotated certificate. Roles, scopes and tasks come and go.
func OwnerOf(server string, p *guard.Principal) Owner {
	b := make([]byte, 0, 256)
	for _, part := range [...]string{server, p.Issuer, p.Subject, p.Client, p.Tenant, p.Agent, p.Peer} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	return sha256.Sum256(b)
}
