package guard

import "encoding/binary"

// AppendCaller appends who is calling, as far as it was verified, so that no two
// callers look alike: a subject, else a client, else the certificate of the
// connection. Everybody else is one caller together, the anonymous one.
func (x *Exchange) AppendCaller(b []byte) []byte {
	p := &x.Principal
	switch {
	case p.Subject != "":
		return AppendText(AppendText(append(b, 's'), p.Issuer), p.Subject)
	case p.Client != "":
		return AppendText(AppendText(append(b, 'c'), p.Issuer), p.Client)
	case p.Peer != "":
		return AppendText(append(b, 'p'), p.Peer)
	case x.Peer.Verified && x.Peer.Name != "":
		return AppendText(append(b, 'p'), x.Peer.Name)
	case x.Peer.Verified && x.Peer.Digest != "":
		return AppendText(append(b, 'd'), x.Peer.Digest)
	}
	return b
}

// AppendText appends s and its length, so that no two lists of texts look alike.
func AppendText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}
