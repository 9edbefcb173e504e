package setup

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/bench/proc"
)

// StartRedis starts a Redis server that keeps nothing on disk, and returns its
// address.
func StartRedis(ctx context.Context, dir string) (*proc.Process, string, error) {
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, "", fmt.Errorf("redis-server: %w: run `make redis`", err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	address := ln.Addr().String()
	port := ln.Addr().(*net.TCPAddr).Port
	_ = ln.Close() // Redis takes no 0 for a free port
	p, err := proc.Start(ctx, "redis", nil, binary, "--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", dir, "--save", "", "--appendonly", "no")
	if err != nil {
		return nil, "", err
	}
	dialer := net.Dialer{Timeout: time.Second}
	if err := p.Wait(ctx, patience, func() bool {
		c, err := dialer.DialContext(ctx, "tcp", address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}); err != nil {
		p.Stop()
		return nil, "", err
	}
	return p, address, nil
}

// budgets are the guide's, none of which is ever used up.
const budgets = `cost_controls: {budgets: {per_project: "$900000000/month", per_agent_session: "$900000000"}}
autonomy_controls: {sandbox_budgets: {max_cost: "$900000000", max_duration: 24h, max_tool_calls: 900000000}}
`

// counted is the gateway of Sallyport with limits that all calls are charged to, in
// a Redis of its own.
func (r *Rig) counted(ctx context.Context, s *Setup, server, block, guards string) error {
	p, address, err := StartRedis(ctx, r.o.Dir)
	if err != nil {
		return err
	}
	r.processes = append(r.processes, p)
	more := guards + block + "redis: {addresses: [\"" + address + "\"], timeout: 1s}\n"
	if err := r.gateway(ctx, s, server, `  rate_limiting: {per_principal: "1000000000/hour", per_tool: "900000000/hour"}`+"\n", more); err != nil {
		return err
	}
	s.Parts = append(s.Parts, Part{"redis", p.PID()})
	return nil
}
