package app

import (
	"time"

	"github.com/sallyport/sallyport/internal/audit/deliver"
	"github.com/sallyport/sallyport/internal/shadow"
	"github.com/sallyport/sallyport/internal/surge"
	"github.com/sallyport/sallyport/internal/telemetry"
)

// gauge is a state that metrics show; docs/metrics.md lists all.
type gauge struct {
	name, description string
	value             func() int64
}

// age is how long ago something was.
type age struct {
	name, description string
	since             func() time.Time
}

// counter is a total that metrics show.
type counter struct {
	name, description string
	total             func() uint64
}

// tally is totals by the value of one attribute.
type tally struct {
	name, description, by string
	totals                func() map[string]uint64
}

// measure is values by the value of one attribute.
type measure struct {
	name, description, by string
	values                func() map[string]float64
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func (g *Gateway) gauges() []gauge {
	return []gauge{
		{"mcp.gateway.ready", "1 while requests can be served, as /readyz says.", func() int64 { return flag(g.ready() == nil) }},
		{"mcp.gateway.config.rejected", "1 while the configuration in the files is not in force, because it is wrong or Envoy rejected it.", func() int64 { return flag(g.configRejected()) }},
		{"mcp.gateway.servers", "MCP servers that are registered.", func() int64 { return int64(len(g.holder.Current().View.Servers())) }},
		{"mcp.gateway.streams.open", "Event streams that are open.", func() int64 { return int64(g.procs.Open()) }},
		{"mcp.gateway.quota.keys", "Counters of calls that this process keeps.", func() int64 { return int64(g.lasting.limits.status().Keys) }},
		{"mcp.gateway.budget.keys", "Accounts of budgets that this process keeps.", func() int64 { return int64(g.lasting.budgets.status().Keys) }},
		{"mcp.gateway.quota.degraded", "1 while Redis cannot be asked, and each rule's on_error decides.", func() int64 { return flag(g.lasting.limits.status().Trouble != "") }},
		{"mcp.gateway.policy.rejected", "1 while the policy bundle that is offered is not good, or cannot be had.", func() int64 { return flag(g.policyError() != "") }},
		{"mcp.gateway.policy.held", "1 while a good policy bundle is held back, by a rollback or a canary that failed.", func() int64 { return flag(g.policyHeld() != "") }},
		{"mcp.gateway.policy.canary.stage", "Stage that a new policy bundle is in; 0 while there is none.", g.canaryStage},
		{"mcp.gateway.surge.waiting", "Calls that wait for their turn at a server.", func() int64 {
			return int64(g.lasting.surges.total(func(s surge.Status) uint64 { return uint64(s.Waiting) }))
		}},
		{"mcp.gateway.surge.strained", "Servers that were slower than usual, or failed, when last looked at.", func() int64 {
			return int64(g.lasting.surges.total(func(s surge.Status) uint64 { return uint64(flag(s.Strained)) }))
		}},
		{"mcp.gateway.catalog.held", "Definitions of servers that are held until an operator pins them.", func() int64 {
			s := g.lasting.books.status()
			return int64(s.Changed + s.Waiting + s.Quarantined)
		}},
		{"mcp.gateway.conduct.remembered", "What is remembered of how callers behave.", func() int64 { return int64(g.lasting.conduct.status().Remembered) }},
		{"mcp.gateway.flow.keys", "Callers and tasks that carry labels, where this process keeps them.", func() int64 { return int64(g.lasting.flows.status().Keys) }},
		{"mcp.gateway.flow.degraded", "1 while Redis cannot be asked which labels callers carry, and guards.flow.when_unknown decides.", func() int64 { return flag(g.lasting.flows.status().Trouble != "") }},
		{"mcp.gateway.conduct.alone", "1 while replicas do not hear of each other's calls, because Redis cannot be asked.", func() int64 { return flag(g.lasting.conduct.status().Trouble != "") }},
		{"mcp.gateway.revocations", "Entries of the list of revocations.", func() int64 { return int64(g.lasting.revoked.Status().Entries) }},
		{"mcp.gateway.revocations.degraded", "1 while Redis cannot be asked for the list of revocations, or its file not written, and the last known list counts.", func() int64 { return flag(g.lasting.revoked.Status().Trouble != nil) }},
		{"mcp.gateway.receipts.blocked", "1 while receipts are not kept, because writing fails or the queue is full.", func() int64 { return flag(g.receipts.Trouble() != nil) }},
		{"mcp.gateway.receipts.unpublished", "1 while checkpoints do not reach receipts.publish: until they do, whoever can write the receipt directory can cut its end unseen.", func() int64 { return flag(g.unpublished() != nil) }},
	}
}

// ages are of what should not grow old.
func (g *Gateway) ages() []age {
	return []age{
		{"mcp.gateway.policy.age", "Time since the policy in force was taken; nothing where none decides, or it came with the gateway.", func() time.Time {
			if l := g.liveLine(); l != nil {
				return l.keeper.Status().Since
			}
			return time.Time{}
		}},
		{"mcp.gateway.revocations.age", "Time since the list of revocations was last known to be whole; nothing where it is in no Redis.", func() time.Time { return g.lasting.revoked.Status().Confirmed }},
	}
}

func (g *Gateway) counters() []counter {
	return []counter{
		{"mcp.gateway.receipts.written", "Receipts written.", func() uint64 { n, _, _ := g.receipts.Counts(); return n }},
		{"mcp.gateway.receipts.dropped", "Receipts not kept because the queue was full or writing fails; under block their messages were refused.", func() uint64 { _, n, _ := g.receipts.Counts(); return n }},
		{"mcp.gateway.receipts.failed", "Receipts lost because writing them failed.", func() uint64 { _, _, n := g.receipts.Counts(); return n }},
		{"mcp.gateway.traces.sent", "Spans sent to telemetry.otlp, of Envoy's too.", func() uint64 { return g.traces.counts().Sent }},
		{"mcp.gateway.traces.dropped", "Spans that found no room in the queue.", func() uint64 { return g.traces.counts().Dropped }},
		{"mcp.gateway.traces.failed", "Spans that the receiver did not take.", func() uint64 { return g.traces.counts().Failed }},
		{"mcp.gateway.traces.capped", "Traces that were not kept because telemetry.traces.per_second were.", func() uint64 { return g.traces.counts().Capped }},
		{"mcp.gateway.budget.cost", "What calls cost since the start, in millionths of a US dollar.", func() uint64 { return uint64(g.lasting.budgets.cost()) }},
		{"mcp.gateway.budget.trips", "Questions about budgets that went to Redis.", func() uint64 { return g.lasting.budgets.status().Trips }},
		{"mcp.gateway.budget.failures", "Questions about budgets that Redis did not answer.", func() uint64 { return g.lasting.budgets.status().Failures }},
		{"mcp.gateway.budget.unshared", "Calls admitted by on_error allow or local of budgets.", func() uint64 { return g.lasting.budgets.status().Unshared }},
		{"mcp.gateway.budget.unavailable", "Calls refused because no account could be kept.", func() uint64 { return g.lasting.budgets.status().Unavailable }},
		{"mcp.gateway.budget.crowded", "Calls charged to a shared account because guards.budget.max_keys were in use.", func() uint64 { return g.lasting.budgets.status().Crowded }},
		{"mcp.gateway.quota.trips", "Questions about quotas that went to Redis.", func() uint64 { return g.lasting.limits.status().Trips }},
		{"mcp.gateway.quota.failures", "Questions about quotas that Redis did not answer.", func() uint64 { return g.lasting.limits.status().Failures }},
		{"mcp.gateway.quota.unshared", "Calls admitted by on_error allow or local of quotas.", func() uint64 { return g.lasting.limits.status().Unshared }},
		{"mcp.gateway.quota.unavailable", "Calls refused because they could not be counted.", func() uint64 { return g.lasting.limits.status().Unavailable }},
		{"mcp.gateway.quota.crowded", "Calls charged to a shared counter because guards.quota.max_keys were in use.", func() uint64 { return g.lasting.limits.status().Crowded }},
		{"mcp.gateway.policy.cache.hits", "Policy decisions that were used again.", func() uint64 { return g.lasting.decided.Stats().Hits }},
		{"mcp.gateway.policy.cache.age", "Milliseconds that policy decisions were old when they were used again, all together.", func() uint64 { return uint64(1000 * g.lasting.decided.Stats().AgeTotal) }},
		{"mcp.gateway.policy.evaluations", "Policy decisions that were made anew.", func() uint64 { return g.lasting.decided.Stats().Evaluations }},
		{"mcp.gateway.policy.uncacheable", "Policy decisions that read what belongs to one call alone, and cannot be used again.", func() uint64 { return g.lasting.decided.Stats().Uncacheable }},
		{"mcp.gateway.policy.failures", "Evaluations that reached no answer.", func() uint64 { return g.lasting.decided.Stats().Failures }},
		{"mcp.gateway.policy.timeouts", "Evaluations that took longer than guards.policy.deadline.", func() uint64 { return g.lasting.decided.Stats().Timeouts }},
		{"mcp.gateway.policy.shadow.dropped", "Decisions that were not compared for want of room in the queue.", g.uncompared},
		{"mcp.gateway.surge.waited", "Calls that had to wait for their turn at a server.", func() uint64 { return g.lasting.surges.total(func(s surge.Status) uint64 { return s.Waited }) }},
		{"mcp.gateway.surge.refused", "Calls refused because their server, or their tenant's share of it, had no room.", func() uint64 {
			return g.lasting.surges.total(func(s surge.Status) uint64 { return s.Refused + s.Excess })
		}},
		{"mcp.gateway.surge.shrunk", "Times that the limit of a server fell.", func() uint64 { return g.lasting.surges.total(func(s surge.Status) uint64 { return s.Shrunk }) }},
		{"mcp.gateway.conduct.forgotten", "Callers and calls that made room for others in what is remembered of them.", func() uint64 { return g.lasting.conduct.status().Forgotten }},
		{"mcp.gateway.flow.reads", "Questions about labels that Redis had to be asked.", func() uint64 { return g.lasting.flows.status().Reads }},
		{"mcp.gateway.flow.trips", "Trips to Redis about labels; questions that come together share one.", func() uint64 { return g.lasting.flows.status().Trips }},
		{"mcp.gateway.flow.failures", "Trips to Redis about labels that were not answered.", func() uint64 { return g.lasting.flows.status().Failures }},
		{"mcp.gateway.conduct.lost", "Calls that other replicas were not told of.", func() uint64 { return g.lasting.conduct.status().Lost }},
		{"mcp.gateway.policy.logs.sent", "Decisions that were shipped to guards.policy.decision_logs.", g.logsSent},
		{"mcp.gateway.policy.logs.dropped", "Decisions that were not shipped to guards.policy.decision_logs, for want of room or because the service refuses them.", g.logsDropped},
		{"mcp.gateway.xds.nacks", "Configurations that an Envoy rejected.", func() uint64 { return g.xds.Status().Counters.NACKs }},
		{"mcp.gateway.xds.reverts", "Returns to the last good configuration after a rejection.", func() uint64 { return g.xds.Status().Counters.Reverts }},
		{"mcp.gateway.xds.pushes", "Configurations sent to Envoys.", func() uint64 { return g.xds.Status().Counters.Pushes }},
		{"mcp.gateway.envoy.restarts", "Times that the Envoy of `sallyport run` had to be started again.", g.restarts},
		{"mcp.gateway.config.failures", "Changes of the files that were refused, each counted once.", func() uint64 { return g.source.Status().Refused }},
	}
}

// tallies are counters by the value of one attribute.
func (g *Gateway) tallies() []tally {
	r := &g.lasting.releases
	return []tally{
		{"mcp.gateway.sink.delivered", "Receipts, records and checkpoints that a sink has taken, over all starts.", "sink", g.bySink(func(s *deliver.Status) uint64 { return s.Delivered })},
		{"mcp.gateway.sink.dead_letters", "Receipts, records and checkpoints that a sink refused for good, and that are kept as dead letters.", "sink", g.bySink(func(s *deliver.Status) uint64 { return s.Dead })},
		{"mcp.gateway.sink.missed", "Receipts that were gone from the log before they could be delivered to a sink.", "sink", g.bySink(func(s *deliver.Status) uint64 { return s.Missed })},
		{"mcp.gateway.sink.retries", "Deliveries to a sink that failed and were tried again, since the start.", "sink", g.bySink(func(s *deliver.Status) uint64 { return s.Retries })},
		{"mcp.gateway.policy.shadow.decisions", "Decisions that the shadow bundle made too, by how the two agree.", "agreement", func() map[string]uint64 { return counts(r.shadowReport()) }},
		{"mcp.gateway.egress.allowed", "Requests and tunnels that went out through egress listeners, by workload.", "workload", g.lasting.leaving.recorder.Allowed},
		{"mcp.gateway.egress.refused", "Requests and tunnels that egress listeners refused, by reason.", "reason", g.lasting.leaving.recorder.Refused},
		{"mcp.gateway.egress.sent", "Bytes of bodies and tunnels that a workload sent through egress listeners, counted at their end.", "workload", g.lasting.leaving.recorder.Sent},
		{"mcp.gateway.egress.received", "Bytes of bodies and tunnels that a workload received through egress listeners, counted at their end.", "workload", g.lasting.leaving.recorder.Received},
		{"mcp.gateway.policy.canary.decisions", "Decisions that were made by both bundles of a canary, by how the two agree.", "agreement", func() map[string]uint64 { return counts(r.canaryReport()) }},
	}
}

// measures are states of each sink.
func (g *Gateway) measures() []measure {
	return []measure{
		{"mcp.gateway.sink.lag", "Receipts in the log that a sink has not had yet.", "sink", g.ofSink(func(s *deliver.Status) float64 { return float64(s.Lag) })},
		{"mcp.gateway.sink.lag.age", "Seconds since the oldest receipt that a sink has not had yet was made.", "sink", g.ofSink(func(s *deliver.Status) float64 { return s.LagSeconds })},
		{"mcp.gateway.sink.aside", "Receipts in the log between those that are set aside, because a sink refuses or breaks over what one caller does, and the rest.", "sink", g.ofSink(func(s *deliver.Status) float64 { return float64(s.AsideLag) })},
		{"mcp.gateway.sink.failing", "1 while a sink takes nothing.", "sink", g.ofSink(func(s *deliver.Status) float64 { return float64(flag(s.State == "failing")) })},
		{"mcp.gateway.sink.distrusted", "1 for a day after what the receipt directory holds of a sink was not what the gateway had left, so that it began again earlier.", "sink", g.ofSink(func(s *deliver.Status) float64 {
			return float64(flag(s.Distrusted != nil && time.Since(s.Distrusted.At) < 24*time.Hour))
		})},
		{"mcp.gateway.sink.paused", "1 while a sink is paused by an operator.", "sink", g.ofSink(func(s *deliver.Status) float64 { return float64(flag(s.State == "paused")) })},
	}
}

func (g *Gateway) bySink(f func(*deliver.Status) uint64) func() map[string]uint64 {
	return func() map[string]uint64 { return perSink(g.sinkStatus(), f) }
}

func (g *Gateway) ofSink(f func(*deliver.Status) float64) func() map[string]float64 {
	return func() map[string]float64 { return perSink(g.sinkStatus(), f) }
}

func perSink[N any](all []deliver.Status, f func(*deliver.Status) N) map[string]N {
	out := make(map[string]N, len(all))
	for i := range all {
		out[all[i].Name] = f(&all[i])
	}
	return out
}

func counts(r *shadow.Report) map[string]uint64 {
	if r == nil {
		return nil
	}
	return r.Counts()
}

// instruments shows in metrics what the status shows.
func (g *Gateway) instruments() error {
	for _, m := range g.gauges() {
		if err := g.metrics.Gauge(m.name, m.description, m.value); err != nil {
			return err
		}
	}
	for _, m := range g.ages() {
		if err := g.metrics.Age(m.name, m.description, m.since); err != nil {
			return err
		}
	}
	for _, m := range g.counters() {
		if err := g.metrics.Counter(m.name, m.description, m.total); err != nil {
			return err
		}
	}
	for _, m := range g.measures() {
		if err := g.metrics.GaugeBy(m.name, m.description, m.by, m.values); err != nil {
			return err
		}
	}
	for _, m := range g.tallies() {
		if err := g.metrics.CounterBy(m.name, m.description, m.by, m.totals); err != nil {
			return err
		}
	}
	return nil
}

// described are all metrics of a gateway, as docs/metrics.md lists them.
func (g *Gateway) described() []telemetry.Description {
	out := telemetry.Own()
	for _, m := range g.gauges() {
		out = append(out, telemetry.Description{Name: m.name, Kind: telemetry.Gauge, Text: m.description})
	}
	for _, m := range g.measures() {
		out = append(out, telemetry.Description{Name: m.name, Kind: telemetry.Gauge, Labels: []string{m.by}, Text: m.description})
	}
	for _, m := range g.ages() {
		out = append(out, telemetry.Description{Name: m.name, Kind: telemetry.Gauge, Unit: "s", Text: m.description})
	}
	for _, m := range g.counters() {
		out = append(out, telemetry.Description{Name: m.name, Kind: telemetry.Counter, Text: m.description})
	}
	for _, m := range g.tallies() {
		out = append(out, telemetry.Description{Name: m.name, Kind: telemetry.Counter, Labels: []string{m.by}, Text: m.description})
	}
	return out
}
