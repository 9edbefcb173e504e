package siem

import (
	"encoding/json"

	"github.com/sallyport/sallyport/internal/audit/deliver"
)

// OCSFVersion is the version of the schema that OCSF writes.
const OCSFVersion = "1.3.0"

// The classes: https://schema.ocsf.io/1.3.0/classes.
const (
	apiActivity     = 6003
	applicationCat  = 6
	activityRead    = 2
	activityOther   = 99
	profileSecurity = "security_control"
)

type ocsfEvent struct {
	ActivityID   int            `json:"activity_id"`
	ActivityName string         `json:"activity_name"`
	CategoryUID  int            `json:"category_uid"`
	CategoryName string         `json:"category_name"`
	ClassUID     int            `json:"class_uid"`
	ClassName    string         `json:"class_name"`
	TypeUID      int            `json:"type_uid"`
	Time         int64          `json:"time"`
	SeverityID   int            `json:"severity_id"`
	Severity     string         `json:"severity"`
	Message      string         `json:"message"`
	Status       string         `json:"status,omitempty"`
	StatusID     int            `json:"status_id,omitempty"`
	StatusCode   string         `json:"status_code,omitempty"`
	StatusDetail string         `json:"status_detail,omitempty"`
	Action       string         `json:"action,omitempty"`
	ActionID     int            `json:"action_id,omitempty"`
	Disposition  string         `json:"disposition,omitempty"`
	DispID       int            `json:"disposition_id,omitempty"`
	Metadata     ocsfMetadata   `json:"metadata"`
	Actor        *ocsfActor     `json:"actor,omitempty"`
	API          *ocsfAPI       `json:"api,omitempty"`
	Source       *ocsfEndpoint  `json:"src_endpoint,omitempty"`
	Resources    []ocsfResource `json:"resources,omitempty"`
	Unmapped     any            `json:"unmapped"`
}

type ocsfMetadata struct {
	Version  string      `json:"version"`
	UID      string      `json:"uid"`
	Product  ocsfProduct `json:"product"`
	Profiles []string    `json:"profiles,omitempty"`
	Tenant   string      `json:"tenant_uid,omitempty"`
	Trace    string      `json:"correlation_uid,omitempty"`
	LogName  string      `json:"log_name"`
	Sequence uint64      `json:"sequence"`
}

type ocsfProduct struct {
	Name   string `json:"name"`
	Vendor string `json:"vendor_name"`
}

type ocsfActor struct {
	App  string    `json:"app_name,omitempty"`
	User *ocsfUser `json:"user,omitempty"`
}

type ocsfUser struct {
	Name string `json:"name"`
	UID  string `json:"uid,omitempty"`
}

type ocsfAPI struct {
	Operation string      `json:"operation"`
	Service   ocsfService `json:"service"`
	Request   ocsfRequest `json:"request"`
}

type ocsfService struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
}

type ocsfRequest struct {
	UID string `json:"uid"`
}

type ocsfEndpoint struct {
	IP   string `json:"ip,omitempty"`
	Name string `json:"name,omitempty"`
}

type ocsfResource struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// OCSF writes a receipt as API Activity (6003), and a record of the log as a Base
// Event (0), both with what they were made of under unmapped. It implements
// deliver.Format.
func OCSF(b []byte, it *deliver.Item) []byte {
	f := fieldsOf(it)
	e := ocsfEvent{
		Time: it.Time.UnixMilli(), Message: f.title(it), Unmapped: map[string]json.RawMessage{"receipt": it.Body},
		SeverityID: int(it.Facts.Severity) + 1, Severity: []string{"Informational", "Low", "Medium", "High", "Critical"}[it.Facts.Severity],
		Metadata: ocsfMetadata{Version: OCSFVersion, UID: it.ID, Product: ocsfProduct{"Sallyport", "Sallyport"}, Tenant: f["tenant"], Trace: f["trace_id"],
			LogName: "receipts", Sequence: it.Seq},
	}
	if it.Kind == deliver.Record {
		e.ActivityID, e.ActivityName, e.ClassName, e.CategoryName, e.TypeUID = activityOther, f["record"], "Base Event", "Uncategorized", activityOther
		e.StatusDetail = f["trouble"]
	} else {
		e.call(f)
	}
	text, err := json.Marshal(e)
	if err != nil { // the body is no JSON: somebody changed the log
		text, _ = json.Marshal(map[string]string{"message": "unreadable", "uid": it.ID}) // cannot fail
	}
	return append(b, text...)
}

func (e *ocsfEvent) call(f fields) {
	e.ClassUID, e.ClassName, e.CategoryUID, e.CategoryName = apiActivity, "API Activity", applicationCat, "Application Activity"
	e.ActivityID, e.ActivityName = activityOther, f["method"]
	switch f["method"] {
	case "tools/list", "resources/list", "resources/read", "resources/templates/list", "prompts/list", "prompts/get":
		e.ActivityID, e.ActivityName = activityRead, "Read"
	case "":
		e.ActivityName = "message"
	}
	e.TypeUID = apiActivity*100 + e.ActivityID
	e.Metadata.Profiles = []string{profileSecurity}
	e.StatusCode, e.StatusDetail = f["reason"], f["detail"]
	switch f["action"] {
	case "allow":
		e.Status, e.StatusID, e.Action, e.ActionID, e.Disposition, e.DispID = "Success", 1, "Allowed", 1, "Allowed", 1
	case "deny":
		e.Status, e.StatusID, e.Action, e.ActionID, e.Disposition, e.DispID = "Failure", 2, "Denied", 2, "Blocked", 2
	default:
		e.Status, e.StatusID, e.Action, e.ActionID, e.Disposition, e.DispID = "held", 99, "held", 99, "held", 99
	}
	e.Actor = &ocsfActor{App: f["agent"]}
	if e.Actor.App == "" {
		e.Actor.App = f["client"]
	}
	if f["subject"] != "" {
		e.Actor.User = &ocsfUser{Name: f["subject"], UID: f["subject"]}
	}
	if e.Actor.App == "" && e.Actor.User == nil {
		e.Actor.App = "anonymous"
	}
	server := f["server"]
	if server == "" {
		server = "unknown"
	}
	e.API = &ocsfAPI{Operation: e.operation(f), Service: ocsfService{server, f["server_version"]}, Request: ocsfRequest{f["exchange"]}}
	e.Source = &ocsfEndpoint{IP: f["source"]}
	if f["source"] == "" {
		e.Source.Name = "unknown"
	}
	if f["name"] != "" {
		e.Resources = []ocsfResource{{f["name"], "mcp"}}
	}
}

func (e *ocsfEvent) operation(f fields) string {
	if f["method"] == "" {
		return "unreadable"
	}
	return f["method"]
}
