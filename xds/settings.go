package xds

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Settings are everything about Envoy's configuration that does not come from
// the registry. Start from [DefaultSettings]; the zero value is not valid.
type Settings struct {
	// Listeners are the addresses that MCP clients connect to; at least one.
	// All serve the same routes.
	Listeners []Listener

	// Egress are the addresses through which workloads go out. They need ExtProc,
	// where the ext_authz service that judges them listens too.
	Egress []Egress

	// ExtProc is the address of the ext_proc service: host:port, or unix:PATH
	// for a unix socket. It must be set unless NoExtProc is.
	ExtProc string
	// NoExtProc leaves the ext_proc filter out. Nothing is judged then: it
	// exists so that a benchmark can measure Envoy alone on the same listener.
	NoExtProc bool
	// Workload is the gateway's identity as a SPIFFE workload; nil for none.
	Workload *Workload
	// Phases says what Envoy sends to ext_proc beside the request's headers.
	Phases Phases
	// MessageTimeout is how long Envoy waits for ext_proc's answer to request
	// headers and body. It does not cover responses, whose body mode has no
	// timeout in Envoy: the service keeps its own deadline there.
	MessageTimeout time.Duration

	// BodyLimit is the largest request body in bytes; a larger one is
	// answered with 413. The ext_proc service must accept gRPC messages of
	// that size plus headers. Without the request body phase nothing buffers,
	// so nothing is limited.
	BodyLimit uint64
	// MaxHeadersKiB limits all request headers together; more gives 431.
	MaxHeadersKiB uint32
	// MaxHeaders limits the number of request headers; more gives 431.
	MaxHeaders uint32
	// MaxStreams limits the concurrent requests of one HTTP/2 connection.
	MaxStreams uint32

	// HeadersTimeout is how long a client may take to send the headers.
	HeadersTimeout time.Duration
	// RequestTimeout is how long a client may take to send the whole request.
	// It does not limit the response.
	RequestTimeout time.Duration
	// StreamIdle is the longest silence on a request before its route is
	// known, and on routes of versions that set no IdleTimeout.
	StreamIdle time.Duration
	// ConnectionIdle is how long a client connection may stay without a
	// request.
	ConnectionIdle time.Duration
	// Drain is how long connections of a removed or changed listener may
	// finish their work.
	Drain time.Duration

	// UpstreamIdle is how long an unused connection to a server is kept. It
	// should be shorter than the keep-alive time of the servers (5 s for
	// Node.js and uvicorn), because a call that meets a connection just being
	// closed cannot safely be sent again.
	UpstreamIdle time.Duration
	// SystemCAFile is the PEM file with the root certificates, on Envoy's
	// machine, for servers whose registration names no CA.
	SystemCAFile string

	// AccessLog is where Envoy writes one JSON line per request: "" for
	// nowhere, "stdout", or the path of a file.
	AccessLog string
	// AccessLogRefusals leaves out those that were served well.
	AccessLogRefusals bool
	// Tracing has Envoy take part in traces; nil for not at all.
	Tracing *Tracing
}

// Listener is one address that MCP clients connect to.
type Listener struct {
	Name    string // unique; appears in Envoy's statistics
	Address string // IP address
	Port    uint32 // 0 lets Envoy pick a free one; its admin interface then tells which
	TLS     *ListenerTLS
}

// Phases says which parts of an exchange ext_proc gets. Request headers always
// go to it. Each further message pair costs CPU on both sides, so a part that no
// guard wants should be left out.
type Phases struct {
	RequestBody bool // the whole body in one message (BUFFERED)
	Response    bool // headers, body and trailers as they come (FULL_DUPLEX_STREAMED)
}

// DefaultSettings returns the settings of a gateway on one machine.
func DefaultSettings() Settings {
	return Settings{
		Listeners:      []Listener{{Name: "mcp", Address: "127.0.0.1", Port: 8080}},
		ExtProc:        "127.0.0.1:9001",
		Phases:         Phases{RequestBody: true, Response: true},
		MessageTimeout: 2 * time.Second,
		BodyLimit:      4 << 20,
		MaxHeadersKiB:  32,
		MaxHeaders:     100,
		MaxStreams:     100,
		HeadersTimeout: 10 * time.Second,
		RequestTimeout: time.Minute,
		StreamIdle:     5 * time.Minute,
		ConnectionIdle: time.Hour,
		Drain:          10 * time.Second,
		UpstreamIdle:   4 * time.Second,
		SystemCAFile:   "/etc/ssl/certs/ca-certificates.crt",
	}
}

func (s *Settings) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(s.Listeners) == 0 {
		bad("listeners: at least one is needed")
	}
	seen := map[string]bool{}
	all := slices.Clone(s.Listeners)
	for i := range s.Egress {
		e := &s.Egress[i]
		if err := e.validate(s.Workload); err != nil {
			bad("egress listener %q: %w", e.Name, err)
		}
		all = append(all, Listener{Name: e.Name, Address: e.Address, Port: e.Port})
	}
	if len(s.Egress) > 0 && s.NoExtProc {
		bad("egress listeners: nobody would judge them without ext_proc's service")
	}
	for _, l := range all {
		if l.Name == "" || seen[l.Name] {
			bad("listener %q: the name must be set and unique", l.Name)
		}
		seen[l.Name] = true
		if _, err := netip.ParseAddr(l.Address); err != nil {
			bad("listener %q: %q is not an IP address", l.Name, l.Address)
		}
		if l.Port > 65535 {
			bad("listener %q: port %d is out of range", l.Name, l.Port)
		}
		if err := l.TLS.validate(s.Workload); err != nil {
			bad("listener %q: %w", l.Name, err)
		}
	}
	if !s.NoExtProc {
		if _, err := parseTarget(s.ExtProc); err != nil {
			bad("ext_proc: %w", err)
		}
	}
	for name, d := range map[string]time.Duration{
		"message timeout": s.MessageTimeout, "headers timeout": s.HeadersTimeout, "request timeout": s.RequestTimeout,
		"stream idle": s.StreamIdle, "connection idle": s.ConnectionIdle, "drain": s.Drain, "upstream idle": s.UpstreamIdle,
	} {
		if d <= 0 {
			bad("%s: must be positive, not %v", name, d)
		}
	}
	if s.BodyLimit == 0 || s.MaxHeaders == 0 || s.MaxStreams == 0 {
		bad("body limit, header count and streams: must be positive")
	}
	if s.MaxHeadersKiB == 0 || s.MaxHeadersKiB > 8192 {
		bad("header size: %d KiB is not in 1..8192", s.MaxHeadersKiB)
	}
	if err := s.Tracing.validate(); err != nil {
		bad("%w", err)
	}
	if strings.ContainsAny(s.AccessLog, "\x00\n") {
		bad("access log: %q is not a path", s.AccessLog)
	}
	return errors.Join(errs...)
}
