// Package proc starts the processes of a set-up and accounts for what they use.
package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Stat is what /proc/<pid>/stat says of a process, all its threads together.
type Stat struct {
	Parent       int
	User, System time.Duration // CPU time, in steps of a clock tick (10 ms)
	RSS          int64         // resident memory in bytes
}

const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux that Go runs on

// ReadStat reads the account of a process.
func ReadStat(pid int) (Stat, error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return Stat{}, fmt.Errorf("proc: %w", err)
	}
	return parseStat(b)
}

// parseStat reads proc_pid_stat(5). The second field is the name in
// parentheses, and may hold anything, parentheses and spaces included.
func parseStat(b []byte) (Stat, error) {
	end := bytes.LastIndexByte(b, ')')
	f := bytes.Fields(b[end+1:])
	if end < 0 || len(f) < 22 {
		return Stat{}, errors.New("proc: stat: too few fields")
	}
	var err error
	number := func(field int) int64 { // numbered as in the manual
		n, e := strconv.ParseInt(string(f[field-3]), 10, 64)
		err = errors.Join(err, e)
		return n
	}
	s := Stat{
		Parent: int(number(4)),
		User:   time.Duration(number(14)) * tick,
		System: time.Duration(number(15)) * tick,
		RSS:    number(24) * int64(os.Getpagesize()),
	}
	if err != nil {
		return Stat{}, fmt.Errorf("proc: stat: %w", err)
	}
	return s, nil
}

// CPU returns the CPU time that a process has used, ended threads included. It
// asks the process's CPU clock, which is the account behind utime + stime in
// /proc/<pid>/stat without the rounding, and reads that file where there is no
// such clock.
func CPU(pid int) (time.Duration, error) {
	const schedClock = 2 // CPUCLOCK_SCHED of the kernel's posix-timers.h
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid)<<3|schedClock, &t); err == nil {
		return time.Duration(t.Nano()), nil
	}
	s, err := ReadStat(pid)
	return s.User + s.System, err
}

// Machine is what /proc/stat says of all CPUs together.
type Machine struct {
	Busy  time.Duration // user, nice, system, interrupts
	Steal time.Duration // taken by other virtual machines
}

// ReadMachine reads the machine's account.
func ReadMachine() (Machine, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return Machine{}, fmt.Errorf("proc: %w", err)
	}
	return parseMachine(b)
}

func parseMachine(b []byte) (Machine, error) {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	f := bytes.Fields(line)
	if len(f) < 9 || string(f[0]) != "cpu" {
		return Machine{}, errors.New("proc: /proc/stat: no cpu line")
	}
	var n [8]time.Duration // user nice system idle iowait irq softirq steal
	for i := range n {
		v, err := strconv.ParseInt(string(f[i+1]), 10, 64)
		if err != nil {
			return Machine{}, fmt.Errorf("proc: /proc/stat: %w", err)
		}
		n[i] = time.Duration(v) * tick
	}
	return Machine{Busy: n[0] + n[1] + n[2] + n[5] + n[6], Steal: n[7]}, nil
}

// Children returns the processes that pid has started and that still run.
func Children(pid int) ([]int, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, fmt.Errorf("proc: %w", err)
	}
	var out []int
	for _, d := range dirs {
		child, err := strconv.Atoi(filepath.Base(d))
		if err != nil {
			continue
		}
		if s, err := ReadStat(child); err == nil && s.Parent == pid { // else it has just ended
			out = append(out, child)
		}
	}
	return out, nil
}
