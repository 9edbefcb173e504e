package siem

// The shapes of events, as far as receipts have something to say:
// https://schema.ocsf.io/1.4.0. testdata/ocsf has the definitions, and a test holds
// events to them.
type (
	ocsfEvent struct {
		ActivityID   int              `json:"activity_id"`
		ActivityName string           `json:"activity_name"`
		CategoryUID  int              `json:"category_uid"`
		CategoryName string           `json:"category_name"`
		ClassUID     int              `json:"class_uid"`
		ClassName    string           `json:"class_name"`
		TypeUID      int              `json:"type_uid"`
		Time         int64            `json:"time"` // milliseconds
		SeverityID   int              `json:"severity_id"`
		Severity     string           `json:"severity"`
		Message      string           `json:"message"`
		Status       string           `json:"status,omitempty"`
		StatusID     int              `json:"status_id,omitempty"`
		StatusCode   string           `json:"status_code,omitempty"`
		StatusDetail string           `json:"status_detail,omitempty"`
		Action       string           `json:"action,omitempty"`
		ActionID     int              `json:"action_id,omitempty"`
		Disposition  string           `json:"disposition,omitempty"`
		DispID       int              `json:"disposition_id,omitempty"`
		Policy       *ocsfPolicy      `json:"policy,omitempty"`
		Metadata     ocsfMetadata     `json:"metadata"`
		Actor        *ocsfActor       `json:"actor,omitempty"`
		AppName      string           `json:"app_name,omitempty"`
		API          *ocsfAPI         `json:"api,omitempty"`
		Source       *ocsfEndpoint    `json:"src_endpoint,omitempty"`
		Destination  *ocsfEndpoint    `json:"dst_endpoint,omitempty"`
		Connection   *ocsfConnection  `json:"connection_info,omitempty"`
		Resources    []ocsfResource   `json:"resources,omitempty"`
		Observables  []ocsfObservable `json:"observables,omitempty"`
		Unmapped     any              `json:"unmapped,omitempty"`
		RawData      string           `json:"raw_data,omitempty"`
	}
	ocsfMetadata struct {
		Version  string      `json:"version"`
		UID      string      `json:"uid"`
		Product  ocsfProduct `json:"product"`
		Profiles []string    `json:"profiles,omitempty"`
		Tenant   string      `json:"tenant_uid,omitempty"`
		Trace    string      `json:"correlation_uid,omitempty"`
		LogName  string      `json:"log_name"`
		Sequence uint64      `json:"sequence"`
	}
	ocsfProduct struct {
		Name   string `json:"name"`
		Vendor string `json:"vendor_name"`
	}
	ocsfPolicy struct {
		UID string `json:"uid"`
	}
	ocsfActor struct {
		App  string    `json:"app_name,omitempty"`
		User *ocsfUser `json:"user,omitempty"`
	}
	ocsfUser struct {
		Name string `json:"name"`
		UID  string `json:"uid,omitempty"`
	}
	ocsfAPI struct {
		Operation string       `json:"operation"`
		Service   ocsfService  `json:"service"`
		Request   *ocsfRequest `json:"request,omitempty"`
	}
	ocsfService struct {
		Name    string `json:"name"`
		Version string `json:"version,omitempty"`
	}
	ocsfRequest struct {
		UID string `json:"uid"`
	}
	ocsfEndpoint struct {
		IP       string `json:"ip,omitempty"`
		Hostname string `json:"hostname,omitempty"`
		Name     string `json:"name,omitempty"`
		Port     int    `json:"port,omitempty"`
	}
	ocsfConnection struct {
		Direction   string `json:"direction"`
		DirectionID int    `json:"direction_id"`
		Protocol    string `json:"protocol_name"`
	}
	ocsfResource struct {
		Name string `json:"name"`
		Type string `json:"type"`
	}
	ocsfObservable struct {
		Name   string `json:"name"`
		Type   string `json:"type"`
		TypeID int    `json:"type_id"`
		Value  string `json:"value"`
	}
)
