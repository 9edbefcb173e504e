package audit

import (
	"github.com/sallyport/sallyport/guard"
)

// outbound writes where a workload wanted to go, and which call may be why. A cause
// is a claim: the trace id in the request is that of the call, and anybody can send
// any id.
func outbound(b []byte, o *guard.Outbound) []byte {
	if o == nil {
		return b
	}
	b = append(b, `,"egress":{"listener":`...)
	b = text(b, o.Listener)
	b = field(b, "workload", o.Workload)
	b = field(b, "scheme", o.Scheme)
	b = field(b, "host", o.Host)
	if o.Port > 0 {
		b = number(b, "port", int64(o.Port))
	}
	if o.Address.IsValid() {
		b = append(b, `,"address":"`...)
		b = append(o.Address.AppendTo(b), '"')
	}
	b = field(b, "cause", o.Cause)
	b = list(b, "candidates", o.Candidates)
	return append(b, '}')
}
