package deliver

// Severity says how much a receipt should worry whoever reads a SIEM.
type Severity int

// The severities, the least first.
const (
	Info     Severity = iota // let through
	Low                      // held, or refused for want of room or good form
	Medium                   // refused to somebody, or an event
	High                     // refused for what it carried, or to a revoked identity
	Critical                 // the log itself has a hole
)

var severities = [...]string{"info", "low", "medium", "high", "critical"}

// String returns the severity's word.
func (s Severity) String() string { return severities[s] }

// Severities returns all words, the least severe first.
func Severities() []string { return append([]string(nil), severities[:]...) }

// severityOf judges by who refused, and why. docs/audit-sinks.md has the table.
func severityOf(f *Facts) Severity {
	switch {
	case f.Record != "":
		if f.Lost > 0 || f.Trouble != "" {
			return Critical
		}
		return Info
	case f.Closed == "gateway_failed":
		return Low
	case f.Closed != "", f.Action == "allow" && len(f.Events) == 0:
		return Info // what refused it has a receipt of its own
	case f.Action == "allow":
		return Medium
	}
	s := Medium
	switch f.Guard {
	case "", "quota", "budget", "surge", "schema":
		s = Low // the decoder's, the server's and the gateway's own refusals too
	case "dlp", "injection", "egress", "anomaly", "catalog":
		s = High
	}
	switch {
	case f.Reason == "identity_revoked":
		s = High
	case f.Action == "hold":
		s = Low
	}
	if len(f.Events) > 0 {
		s = max(s, Medium)
	}
	return s
}
