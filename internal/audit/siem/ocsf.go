package siem

import (
	"encoding/json"

	"github.com/sallyport/sallyport/internal/audit/deliver"
)

// OCSFVersion is the version of the schema that OCSF writes: the first that lets API
// Activity say what a security control decided.
const OCSFVersion = "1.4.0"

// ocsfClass is a class of events, https://schema.ocsf.io/1.4.0/classes.
type ocsfClass struct {
	uid, category            int
	caption, categoryCaption string
}

var (
	baseEvent       = ocsfClass{0, 0, "Base Event", "Uncategorized"}
	networkActivity = ocsfClass{4001, 4, "Network Activity", "Network Activity"}
	apiActivity     = ocsfClass{6003, 6, "API Activity", "Application Activity"}
)

// other says of an activity, a status or an action that its name is ours.
const other = 99

const profileSecurity = "security_control"

// OCSF writes a receipt as API Activity (6003), that of a connection through an
// egress listener as Network Activity (4001), and a record of the log as a Base
// Event (0), each with what it was made of under unmapped. It implements
// deliver.Format.
func OCSF(b []byte, it *deliver.Item) []byte {
	f := fieldsOf(it)
	e := ocsfEvent{
		Message: f.title(it), Unmapped: map[string]json.RawMessage{"receipt": it.Body},
		SeverityID: int(it.Facts.Severity) + 1, Severity: []string{"Informational", "Low", "Medium", "High", "Critical"}[it.Facts.Severity],
		Metadata: ocsfMetadata{Version: OCSFVersion, UID: it.ID, Product: ocsfProduct{"Sallyport", "Sallyport"}, Tenant: f["tenant"], Trace: f["trace_id"],
			LogName: "receipts", Sequence: it.Seq},
	}
	if !it.Time.IsZero() {
		e.Time = it.Time.UnixMilli()
	}
	switch {
	case it.Kind == deliver.Record:
		e.is(baseEvent, other, f["record"])
		e.StatusDetail = f["trouble"]
	case f.egress():
		e.connection(f)
	default:
		e.call(f)
	}
	text, err := json.Marshal(e)
	if err != nil { // the body is no JSON: somebody changed the log
		e.Unmapped, e.RawData = nil, string(it.Body)
		text, _ = json.Marshal(e) // cannot fail: all that is left are strings and numbers
	}
	return append(b, text...)
}

func (e *ocsfEvent) is(c ocsfClass, activity int, name string) {
	e.ClassUID, e.ClassName, e.CategoryUID, e.CategoryName = c.uid, c.caption, c.category, c.categoryCaption
	e.ActivityID, e.ActivityName, e.TypeUID = activity, name, c.uid*100+activity
	if name == "" {
		e.ActivityName = "unknown"
	}
}

// call is a message to or from an MCP server, or how an exchange with one ended.
func (e *ocsfEvent) call(f fields) {
	operation := f["method"]
	if operation == "" {
		operation = "unreadable"
	}
	switch {
	case f["closed"] != "":
		e.is(apiActivity, other, "exchange ended")
	case readOnly[f["method"]]:
		e.is(apiActivity, 2, "Read")
	default:
		e.is(apiActivity, other, operation)
	}
	e.decided(f)
	e.Actor = &ocsfActor{App: f["agent"]}
	if e.Actor.App == "" {
		e.Actor.App = f["client"]
	}
	if f["subject"] != "" {
		e.Actor.User = &ocsfUser{Name: f["subject"], UID: f["subject"]}
		e.observe("actor.user.name", "User Name", 4, f["subject"])
	}
	if e.Actor.App == "" && e.Actor.User == nil {
		e.Actor.App = "anonymous"
	}
	e.API = &ocsfAPI{Operation: operation, Service: ocsfService{"unknown", f["server_version"]}}
	if f["server"] != "" {
		e.API.Service.Name = f["server"]
	}
	if f["exchange"] != "" {
		e.API.Request = &ocsfRequest{f["exchange"]}
	}
	e.from(f)
	if f["name"] != "" {
		e.Resources = []ocsfResource{{f["name"], "mcp"}}
	}
}

// readOnly are the methods that OCSF calls reading. What a tool does is not known here.
var readOnly = map[string]bool{"tools/list": true, "resources/list": true, "resources/read": true, "resources/templates/list": true, "prompts/list": true, "prompts/get": true}

// connection is one that an MCP server makes through an egress listener.
func (e *ocsfEvent) connection(f fields) {
	switch {
	case f["closed"] != "":
		e.is(networkActivity, 2, "Close")
	case f["action"] == "allow":
		e.is(networkActivity, 1, "Open")
	default:
		e.is(networkActivity, 5, "Refuse")
	}
	e.decided(f)
	e.from(f)
	e.AppName = f["egress.workload"]
	e.Connection = &ocsfConnection{"Outbound", 2, "tcp"}
	to := ocsfEndpoint{Hostname: f["egress.host"], Port: f.port("egress.port")}
	if ip := address(to.Hostname); ip.IsValid() {
		to.IP, to.Hostname = ip.String(), ""
	} else if ip := address(f["egress.address"]); ip.IsValid() {
		to.IP = ip.String()
	}
	if to.IP != "" || to.Hostname != "" {
		e.Destination = &to
	}
	e.observe("dst_endpoint.hostname", "Hostname", 1, to.Hostname)
	e.observe("dst_endpoint.ip", "IP Address", 2, to.IP)
}

// decided says what the gateway decided, or how what it allowed ended.
func (e *ocsfEvent) decided(f fields) {
	e.StatusCode, e.StatusDetail = f["reason"], f["detail"]
	if f["closed"] != "" {
		e.Status, e.StatusID = f["closed"], other
		return
	}
	e.Metadata.Profiles = []string{profileSecurity}
	switch f["action"] {
	case "allow":
		e.Status, e.StatusID, e.Action, e.ActionID, e.Disposition, e.DispID = "Success", 1, "Allowed", 1, "Allowed", 1
	case "deny":
		e.Status, e.StatusID, e.Action, e.ActionID, e.Disposition, e.DispID = "Failure", 2, "Denied", 2, "Blocked", 2
	default:
		e.Status, e.StatusID, e.Action, e.ActionID, e.Disposition, e.DispID = "held", other, "held", other, "held", other
	}
	if f["policy"] != "" {
		e.Policy = &ocsfPolicy{f["policy"]}
	}
}

// from says where the connection came from. What is masked is a name.
func (e *ocsfEvent) from(f fields) {
	e.Source = &ocsfEndpoint{Name: "unknown"}
	if ip := address(f["source"]); ip.IsValid() {
		e.Source = &ocsfEndpoint{IP: ip.String(), Port: f.port("source_port")}
		e.observe("src_endpoint.ip", "IP Address", 2, e.Source.IP)
	} else if f["source"] != "" {
		e.Source.Name = f["source"]
	}
}

func (e *ocsfEvent) observe(name, kind string, id int, value string) {
	if value != "" {
		e.Observables = append(e.Observables, ocsfObservable{name, kind, id, value})
	}
}
