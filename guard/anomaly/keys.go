package anomaly

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/recent"
)

// keys name who calls, and what.
func keys(x *guard.Exchange, tool string) (who, use recent.Key) {
	var room [512]byte
	b := append(room[:0], 'w')
	b = append(x.AppendCaller(b), '/')
	if x.Principal.IsAnonymous() && !x.Peer.Verified && x.Source.IsValid() {
		b = append(b, x.Source.Addr().Unmap().String()...)
	}
	b = guard.AppendText(b, x.Principal.Agent)
	who = digest(b)
	b = append(append(b[:0], 'u'), who[:]...)
	return who, digest(guard.AppendText(guard.AppendText(b, x.Server.Name), tool))
}

func digest(b []byte) recent.Key {
	sum := sha256.Sum256(b)
	return recent.Key(sum[:16])
}

func short(s string) uint32 {
	sum := sha256.Sum256([]byte(s))
	return binary.BigEndian.Uint32(sum[:])
}
