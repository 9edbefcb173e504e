// Package config reads sallyport.yaml: strictly, so that nothing is accepted
// and ignored.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"go.yaml.in/yaml/v4"
)

// Config is one valid configuration. It is immutable once loaded.
type Config struct {
	Listeners []Listener           `yaml:"listeners"`
	Gateway   Gateway              `yaml:"gateway"`
	Servers   []Server             `yaml:"servers"`
	Registry  Registry             `yaml:"registry"`
	Guards    map[string]yaml.Node `yaml:"guards"`
	ExtProc   Address              `yaml:"extproc"`
	XDS       Address              `yaml:"xds"`
	Admin     Address              `yaml:"admin"`
	Envoy     Envoy                `yaml:"envoy"`
	Limits    Limits               `yaml:"limits"`
	MCP       MCP                  `yaml:"mcp"`
	Receipts  Receipts             `yaml:"receipts"`
	Log       Log                  `yaml:"log"`
}

// Listener is one address that MCP clients connect to.
type Listener struct {
	Address string `yaml:"address"`
}

// Gateway is the guide's gateway block, as far as this build enforces it.
type Gateway struct {
	Authentication struct {
		Method string `yaml:"method"`
	} `yaml:"authentication"`
	Authorization struct {
		PolicyEngine string `yaml:"policy_engine"`
	} `yaml:"authorization"`
}

// Registry names the watched directory of server files.
type Registry struct {
	Directory string `yaml:"directory"`
}

// Address is where one of our own services listens.
type Address struct {
	Address string `yaml:"address"`
}

// Envoy is how the child Envoy runs.
type Envoy struct {
	AdminAddress   string `yaml:"admin_address"`
	Concurrency    int    `yaml:"concurrency"`
	AccessLog      string `yaml:"access_log"`
	MaxConnections int64  `yaml:"max_connections"`
	MaxHeap        uint64 `yaml:"max_heap_bytes"`
}

// Limits bound messages; sizes are in bytes.
type Limits struct {
	Body         int           `yaml:"body_bytes"`
	Response     int           `yaml:"response_bytes"`
	Event        int           `yaml:"event_bytes"`
	Depth        int           `yaml:"depth"`
	ResponseTime time.Duration `yaml:"response_time"`
	Drain        time.Duration `yaml:"drain"`
}

// MCP widens what the decoder accepts.
type MCP struct {
	ExtraMethods []string `yaml:"extra_methods"`
	AnyNames     bool     `yaml:"any_names"`
	Revisions    []string `yaml:"revisions"`
}

// Receipts says where decisions are recorded.
type Receipts struct {
	Path     string `yaml:"path"`
	WhenFull string `yaml:"when_full"`
	Queue    int    `yaml:"queue"`
}

// Log is our own log, on stderr.
type Log struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"`
}

// Default returns the configuration that an empty file stands for. It is not
// valid by itself: listeners and the gateway's methods must be said out loud.
func Default() Config {
	return Config{
		ExtProc:  Address{"127.0.0.1:9001"},
		XDS:      Address{"127.0.0.1:9002"},
		Admin:    Address{"127.0.0.1:9003"},
		Envoy:    Envoy{AdminAddress: "127.0.0.1:9004", MaxConnections: 10_000, MaxHeap: 1 << 30},
		Limits:   Limits{Body: 4 << 20, Response: 16 << 20, Event: 1 << 20, Depth: 64, ResponseTime: 5 * time.Minute, Drain: 10 * time.Second},
		Receipts: Receipts{Path: "stdout", WhenFull: "block", Queue: 8192},
		Log:      Log{Level: "info", Format: "text"},
	}
}

// Load reads and checks the file at path.
func Load(path string) (*Config, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return Parse(path, b)
}

// Parse reads b; name is used in errors.
func Parse(name string, b []byte) (*Config, error) {
	c := Default()
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s: the file is empty; it needs listeners, gateway and servers", name)
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: one YAML document is allowed", name)
	}
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &c, nil
}

func (c *Config) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(c.Listeners) == 0 {
		bad("listeners: at least one is needed, such as {address: 127.0.0.1:8080}")
	}
	for i, l := range c.Listeners {
		a, err := netip.ParseAddrPort(l.Address)
		switch {
		case err != nil:
			bad("listeners[%d].address: %q is not IP:port", i, l.Address)
		case c.Gateway.Authentication.Method == "none" && !a.Addr().IsLoopback():
			bad("listeners[%d].address: %s is not a loopback address, and gateway.authentication.method none is allowed on loopback only", i, l.Address)
		}
	}
	if m := c.Gateway.Authentication.Method; m != "none" {
		bad("gateway.authentication.method: %q is not available in this build; write none (loopback listeners only)", m)
	}
	if e := c.Gateway.Authorization.PolicyEngine; e != "none" {
		bad("gateway.authorization.policy_engine: %q is not available in this build; write none (every registered tool is allowed)", e)
	}
	for name, a := range map[string]string{"extproc": c.ExtProc.Address, "xds": c.XDS.Address, "admin": c.Admin.Address, "envoy.admin_address": c.Envoy.AdminAddress} {
		p, err := netip.ParseAddrPort(a)
		if err != nil {
			bad("%s: %q is not IP:port", name, a)
		} else if !p.Addr().IsLoopback() {
			bad("%s: %s must be a loopback address: the service has no authentication of its own", name, a)
		}
	}
	if c.Limits.Body <= 0 || c.Limits.Response <= 0 || c.Limits.Event <= 0 || c.Limits.Depth <= 0 || c.Limits.ResponseTime <= 0 || c.Limits.Drain <= 0 {
		bad("limits: every limit must be positive")
	}
	if c.Receipts.WhenFull != "block" && c.Receipts.WhenFull != "drop_and_count" {
		bad("receipts.when_full: %q is neither block nor drop_and_count", c.Receipts.WhenFull)
	}
	if c.Receipts.Queue <= 0 || c.Receipts.Path == "" {
		bad("receipts: queue must be positive and path stdout or a file")
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		bad("log.format: %q is neither text nor json", c.Log.Format)
	}
	errs = append(errs, c.servers()...)
	return errors.Join(errs...)
}
