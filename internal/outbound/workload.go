package outbound

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/inspect/destination"
)

// Listener knows who comes through it.
type Listener struct {
	Only      *Workload   // everybody who connects; nil where clients show certificates
	Workloads []*Workload // of which the first with the client's id is it
}

// workload returns who is asking, or nil. A listener that asks for no certificates
// believes none.
func (l *Listener) workload(peer string) *Workload {
	if l.Only != nil {
		return l.Only
	}
	if peer == "" {
		return nil
	}
	for _, w := range l.Workloads {
		if slices.ContainsFunc(w.IDs, func(id string) bool { return is(id, peer) }) {
			return w
		}
	}
	return nil
}

// is reports whether a peer has the id, or an id below one that ends in /*.
func is(id, peer string) bool {
	if base, below := strings.CutSuffix(id, "/*"); below {
		rest, ok := strings.CutPrefix(peer, base+"/")
		return ok && rest != ""
	}
	return id == peer
}

// Workload is a program, or several of one kind, and where it may go.
type Workload struct {
	Name    string
	IDs     []string // SPIFFE ids, or one and /* for all below it
	Servers []string // MCP servers that it is; calls of them may be why it goes somewhere

	tunnels, requests destination.Policy
}

// Entry is one destination that a workload may reach.
type Entry struct {
	Host      string         // as destination.HostPattern returns it
	Ports     []int          // 443 for https and 80 for http when empty
	Schemes   []string       // https, by a tunnel, and http; https when empty
	Private   bool           // it may be at private addresses
	Addresses []netip.Prefix // and at these
}

// Allow adds destinations.
func (w *Workload) Allow(entries ...Entry) {
	for _, e := range entries {
		schemes := e.Schemes
		if len(schemes) == 0 {
			schemes = []string{"https"}
		}
		for _, scheme := range schemes {
			one := destination.Entry{Host: e.Host, Ports: e.Ports, Schemes: []string{scheme}, Private: e.Private, Addresses: e.Addresses}
			switch scheme {
			case "https":
				w.tunnels.Entries = append(w.tunnels.Entries, one)
			case "http":
				if len(one.Ports) == 0 {
					one.Ports = []int{80}
				}
				w.requests.Entries = append(w.requests.Entries, one)
			}
		}
	}
}
