package mcp

// Revision is an MCP protocol revision that the gateway speaks; the zero value
// is unknown. Revisions are ordered by date.
type Revision uint8

// The revisions.
const (
	RevisionUnknown Revision = iota
	R20250326
	R20250618
	R20251125
	R20260728 // stateless: no initialize, no session, no server-to-client requests
)

// Modern reports whether r belongs to the stateless era (2026-07-28 and later).
func (r Revision) Modern() bool { return r >= R20260728 }

// String returns the revision's date, or "" for the unknown one.
func (r Revision) String() string {
	switch r {
	case R20250326:
		return "2025-03-26"
	case R20250618:
		return "2025-06-18"
	case R20251125:
		return "2025-11-25"
	case R20260728:
		return "2026-07-28"
	}
	return ""
}

// ParseRevision returns the revision named s, or RevisionUnknown.
func ParseRevision(s string) Revision {
	for r := R20250326; r <= R20260728; r++ {
		if r.String() == s {
			return r
		}
	}
	return RevisionUnknown
}

// Revisions lists every revision the gateway speaks, oldest first.
func Revisions() []Revision { return []Revision{R20250326, R20250618, R20251125, R20260728} }
