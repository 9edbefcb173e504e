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

// fields are the members of a receipt that the formats have a place for.
type fields map[string]string

// wanted are those members; lists and objects are not among them.
var wanted = map[string]bool{
	"exchange": true, "direction": true, "action": true, "reason": true, "guard": true, "detail": true, "policy": true, "server": true, "server_version": true,
	"http_method": true, "subject": true, "issuer": true, "agent": true, "client": true, "tenant": true, "source": true, "method": true, "name": true,
	"trace_id": true, "pseudonym": true, "record": true, "trouble": true, "start": true, "why": true,
}

func fieldsOf(it *deliver.Item) fields {
	f := make(fields)
	for key, value := range mcp.Members(it.Body) {
		if !wanted[key] {
			continue
		}
		var text string
		if json.Unmarshal(value, &text) == nil {
			f[key] = text
		}
	}
	if f["subject"] == "" && f["pseudonym"] != "" { // one name for one person is what analysts need
		f["subject"] = "~" + f["pseudonym"]
	}
	if p, err := netip.ParseAddrPort(f["source"]); err == nil {
		f["source"] = p.Addr().Unmap().String()
	}
	return f
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
	what := f["method"]
	if what == "" {
		what = "message"
	}
	if f["name"] != "" {
		what += " " + f["name"]
	}
	return "MCP " + what + " " + verb
}
