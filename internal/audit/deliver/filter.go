package deliver

import "slices"

// Filter says which lines a sink gets. A list that is empty asks for nothing;
// of one that is not, a receipt must have one of the values.
type Filter struct {
	Kinds    []Kind // all but checkpoints when empty
	Actions  []string
	Reasons  []string
	Servers  []string
	Tenants  []string
	Events   []string // kinds of events, one of which the receipt must have
	Severity Severity // the least
}

// kind reports whether lines of a kind are wanted at all.
func (f *Filter) kind(k Kind) bool {
	if len(f.Kinds) == 0 {
		return k != Checkpoint
	}
	return slices.Contains(f.Kinds, k)
}

// reads reports whether the filter looks into lines.
func (f *Filter) reads() bool {
	return len(f.Actions)+len(f.Reasons)+len(f.Servers)+len(f.Tenants)+len(f.Events) > 0 || f.Severity > Info
}

// wants judges a line by its facts. Records and checkpoints are about no call:
// of the lists below only the severity is asked of records.
func (f *Filter) wants(k Kind, x *Facts) bool {
	if !f.kind(k) {
		return false
	}
	switch k {
	case Checkpoint:
		return true
	case Record:
		return x.Severity >= f.Severity
	}
	has := func(list []string, v string) bool { return len(list) == 0 || slices.Contains(list, v) }
	return x.Severity >= f.Severity && has(f.Actions, x.Action) && has(f.Reasons, x.Reason) && has(f.Servers, x.Server) && has(f.Tenants, x.Tenant) &&
		(len(f.Events) == 0 || slices.ContainsFunc(x.Events, func(e string) bool { return slices.Contains(f.Events, e) }))
}
