// Package standard lists the guards of a gateway in the order that counts. It
// is the only place that knows them all: a new guard is a folder and a line.
package standard

import (
	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/guard/anomaly"
	"github.com/sallyport/sallyport/guard/binding"
	"github.com/sallyport/sallyport/guard/budget"
	"github.com/sallyport/sallyport/guard/catalog"
	"github.com/sallyport/sallyport/guard/dlp"
	"github.com/sallyport/sallyport/guard/egress"
	"github.com/sallyport/sallyport/guard/envelope"
	"github.com/sallyport/sallyport/guard/escalation"
	"github.com/sallyport/sallyport/guard/flow"
	"github.com/sallyport/sallyport/guard/identity"
	"github.com/sallyport/sallyport/guard/injection"
	"github.com/sallyport/sallyport/guard/loop"
	"github.com/sallyport/sallyport/guard/normalise"
	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/guard/quota"
	"github.com/sallyport/sallyport/guard/schema"
	"github.com/sallyport/sallyport/guard/segment"
	"github.com/sallyport/sallyport/guard/surge"
)

// Ports are what guards need from outside the process. A guard whose port is
// nil is left out of the chain.
type Ports struct {
	Identity  identity.Port
	Binding   binding.Source
	Anomaly   anomaly.Ports
	Escalate  escalation.Ports
	Flow      flow.Ports
	Catalog   catalog.Ports
	Loop      loop.Ports
	Quota     quota.Port
	Surge     surge.Port
	Budget    budget.Port
	Egress    egress.Ports
	Policy    policy.Source
	Remaining policy.Budgets // that policies may read
	Injection injection.Ports
	Normalise normalise.Ports
	Schema    schema.Ports
	Segment   segment.Ports
	Content   dlp.Ports // of the guards that look into content; they work without, too
}

// Specs returns the guards: messages to the server meet them from top to
// bottom, messages to the client from bottom to top.
func Specs(p Ports) []guard.Spec {
	return []guard.Spec{
		envelope.Spec(),
		identity.Spec(p.Identity),
		binding.Spec(p.Binding), // what others see of ids is the server's
		flow.Spec(p.Flow),       // before policy, which reads what callers carry; towards the client behind all that label what it reads
		segment.Told(p.Segment), // nobody behind it edits what is read, so it can tell clients what is still as it was signed
		anomaly.Spec(p.Anomaly), // before policy, which reads its labels
		policy.Informed(p.Policy, p.Remaining),
		escalation.Spec(p.Escalate), // behind policy: it reads the labels
		catalog.Spec(p.Catalog),     // behind policy, which hides more from some callers; before it towards the client
		loop.Spec(p.Loop),           // before quota: who goes in circles uses nothing up
		quota.Spec(p.Quota),         // behind policy: names that nobody may use get no counters
		budget.Spec(p.Budget),       // behind quota, which costs less to ask
		egress.Spec(p.Egress),
		normalise.Spec(p.Normalise),
		injection.Spec(p.Injection), // before normalise towards the client: hidden text is what gives attacks away
		dlp.Spec(p.Content),         // last towards the server, first towards the client: what others look at is already clean
		schema.Spec(p.Schema),       // judges what the server gets, and what it answered before anybody edits it
		segment.Spec(p.Segment),     // verifies what the server answered before anybody edits it
		surge.Spec(p.Surge),         // looks at no content: what is refused needs no place at the server, and the gateway's own work is no time of the server's
	}
}
