package anomaly

import "github.com/sallyport/sallyport/internal/recent"

// Memory is what is known of how callers usually behave. A reload of the
// configuration does not touch it.
type Memory struct {
	callers *recent.Table[caller]
	uses    *recent.Table[use]
}

// NewMemory returns a memory for at most most callers and uses.
func NewMemory(most int) *Memory {
	return &Memory{recent.New[caller](most / 4), recent.New[use](most)}
}

// Bound changes how much is remembered.
func (m *Memory) Bound(most int) {
	m.callers.Bound(most / 4)
	m.uses.Bound(most)
}

// Len returns how many callers and uses are remembered.
func (m *Memory) Len() int { return m.callers.Len() + m.uses.Len() }

// Forgotten returns how many made room for others.
func (m *Memory) Forgotten() uint64 { return m.callers.Forgotten() + m.uses.Forgotten() }

// caller is what is known of one caller.
type caller struct {
	since int64 // of the first call, in milliseconds since 1970; 0 for none yet
	calls int32
	tools set
	hosts set
	spent spending
	told  [signals]int64 // minute of the last event
}

// use is what is known of one caller's use of one tool.
type use struct {
	since    int64
	calls    int32
	rate     minutes
	argument baseline // of the logarithm of its bytes
	result   baseline
	duration baseline // of the logarithm of its milliseconds
	errors   failures
	told     [signals]int64
}

// signal is what can be unusual.
type signal uint8

const (
	rate signal = iota
	newTool
	newHost
	argumentSize
	errorRate
	resultSize
	duration
	spend
	signals
)

// words are the labels and events of signals.
var words = [signals]struct{ label, event string }{
	rate:         {"anomaly:rate", "tool_usage_spike"},
	newTool:      {"anomaly:new_tool", "new_tool_use"},
	newHost:      {"anomaly:destination", "egress_destination_change"},
	argumentSize: {"anomaly:argument_size", "argument_size_anomaly"},
	errorRate:    {"anomaly:error_rate", "error_rate_anomaly"},
	resultSize:   {"anomaly:result_size", "result_size_anomaly"},
	duration:     {"anomaly:duration", "call_duration_anomaly"},
	spend:        {"anomaly:cost", "cost_slope_anomaly"},
}
