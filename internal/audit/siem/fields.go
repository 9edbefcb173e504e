// Package siem writes receipts in the words of security products: the Common
// Event Format and the Open Cybersecurity Schema Framework.
package siem

import (
	"encoding/json"
	"net/netip"
	"strconv"

	"github.com/sallyport/sallyport/internal/audit/deliver"
	"github.com/sallyport/sallyport/mcp"
)

// fields are the members of a receipt that the formats have a place for. Those of
// its egress are called egress.host and so on.
type fields map[string]string

// wanted are those members; other lists and objects are not among them.
var wanted = map[string]bool{
	"exchange": true, "direction": true, "action": true, "closed": true, "reason": true, "guard": true, "detail": true, "policy": true, "server": true, "server_version": true,
	"http_method": true, "subject": true, "issuer": true, "agent": true, "client": true, "tenant": true, "source": true, "method": true, "name": true,
	"trace_id": true, "pseudonym": true, "record": true, "trouble": true, "start": true, "why": true,
	"bytes_to_server": true, "bytes_to_client": true,
}

const egress = "egress"

func fieldsOf(it *deliver.Item) fields {
	f := make(fields)
	for key, value := range mcp.Members(it.Body) {
		switch {
		case wanted[key]:
			f.set(key, value)
		case key == egress:
			f[egress] = key
			for k, v := range mcp.Members(value) {
				f.set(egress+"."+k, v)
			}
		}
	}
	if f["subject"] == "" && f["pseudonym"] != "" { // one name for one person is what analysts need
		f["subject"] = "~" + f["pseudonym"]
	}
	if p, err := netip.ParseAddrPort(f["source"]); err == nil {
		f["source"], f["source_port"] = p.Addr().Unmap().String(), strconv.Itoa(int(p.Port()))
	}
	if p, err := netip.ParseAddrPort(f["egress.address"]); err == nil {
		f["egress.address"] = p.Addr().Unmap().String()
	}
	return f
}

// set takes a text or a number.
func (f fields) set(key string, value []byte) {
	var text string
	var number json.Number
	if json.Unmarshal(value, &text) == nil {
		f[key] = text
	} else if json.Unmarshal(value, &number) == nil {
		f[key] = number.String()
	}
}

// egress reports whether this is about a connection and no message.
func (f fields) egress() bool { return f[egress] != "" }

// port returns a port, or 0 where there is none that can be one.
func (f fields) port(key string) int {
	n, err := strconv.ParseUint(f[key], 10, 16)
	if err != nil {
		return 0
	}
	return int(n)
}

// address returns the IP address that s is, without a zone; the zero one where it is none.
func address(s string) netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return a.WithZone("").Unmap()
}

// title says in a few words what happened.
func (f fields) title(it *deliver.Item) string {
	if it.Kind == deliver.Record {
		switch {
		case it.Facts.Lost > 0:
			return strconv.FormatUint(it.Facts.Lost, 10) + " receipts were lost"
		case f["trouble"] != "":
			return "The receipt log was changed"
		}
		return "Receipt log: " + f["record"]
	}
	verb := map[string]string{"allow": "allowed", "hold": "held", "deny": "refused"}[f["action"]]
	if f["closed"] != "" {
		verb = "ended: " + f["closed"]
	}
	return f.what() + " " + verb
}

// what names the message or the connection.
func (f fields) what() string {
	if f.egress() {
		if f["egress.host"] == "" {
			return "Connection"
		}
		return "Connection to " + f["egress.host"]
	}
	what := f["method"]
	if what == "" {
		what = "message"
	}
	if f["name"] != "" {
		what += " " + f["name"]
	}
	return "MCP " + what
}
