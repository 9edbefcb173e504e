package compare

import (
	"errors"
	"os"
	"runtime"
	"time"

	"github.com/sallyport/sallyport/bench/proc"
	"github.com/sallyport/sallyport/bench/setup"
)

// meter reads the accounts at both edges of the measured time.
type meter struct {
	first, last         map[int]time.Duration // CPU time by process
	machineA, machineB  proc.Machine
	beginning, duration time.Time
	err                 error
}

func (m *meter) begin(rig *setup.Rig) {
	m.beginning = time.Now()
	m.first, m.machineA = m.read(rig)
}

func (m *meter) end(rig *setup.Rig) {
	m.last, m.machineB = m.read(rig)
	m.duration = time.Now()
}

func (m *meter) read(rig *setup.Rig) (map[int]time.Duration, proc.Machine) {
	out := map[int]time.Duration{}
	for _, pid := range rig.PIDs() {
		cpu, err := proc.CPU(pid)
		m.err = errors.Join(m.err, err)
		out[pid] = cpu
	}
	machine, err := proc.ReadMachine()
	m.err = errors.Join(m.err, err)
	return out, machine
}

// account fills in what the processes used per call.
func (m *meter) account(s *Sample, rig *setup.Rig, of *setup.Setup, calls int64) {
	used := func(pid int) time.Duration { return m.last[pid] - m.first[pid] }
	perCall := func(pid int) float64 { return used(pid).Seconds() * 1e6 / float64(calls) }
	s.CPU = map[string]float64{"bench": perCall(os.Getpid()), rig.Server.Name: perCall(rig.Server.PID)}
	for _, p := range of.Parts {
		s.CPU[p.Name] = perCall(p.PID)
		s.Gateway += s.CPU[p.Name]
	}
	var own time.Duration
	for pid := range m.last {
		own += used(pid)
	}
	capacity := m.duration.Sub(m.beginning).Seconds() * float64(runtime.NumCPU())
	s.Foreign = max(0, (m.machineB.Busy-m.machineA.Busy-own).Seconds()/capacity)
	s.Steal = (m.machineB.Steal - m.machineA.Steal).Seconds() / capacity
}
