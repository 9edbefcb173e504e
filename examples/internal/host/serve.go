package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"golang.org/x/sync/errgroup"
)

// drain is how long calls in flight get to finish once the context has ended.
const drain = 5 * time.Second

// Site is one MCP server and where it listens.
type Site struct {
	Name   string
	Addr   string // host:port; no host means this machine only, port 0 picks a free one
	Server *mcp.Server
}

// Serve listens for all sites, then writes one line to out, for example
//
//	mcp-examples ready crm=http://127.0.0.1:39101/ tickets=http://127.0.0.1:39102/
//
// and serves until ctx ends. Calls in flight then get five seconds. It returns
// nil after such an orderly end.
func Serve(ctx context.Context, program string, log *slog.Logger, out io.Writer, sites ...Site) error {
	var line strings.Builder
	line.WriteString(program + " ready")
	listeners := make([]net.Listener, 0, len(sites))
	defer func() {
		for _, l := range listeners {
			_ = l.Close() // already closed when the server ran
		}
	}()
	for _, s := range sites {
		addr := s.Addr
		if strings.HasPrefix(addr, ":") {
			addr = "127.0.0.1" + addr // to serve a network takes saying so
		}
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
		if err != nil {
			return fmt.Errorf("host: listen for %s: %w", s.Name, err)
		}
		listeners = append(listeners, l)
		fmt.Fprintf(&line, " %s=http://%s/", s.Name, l.Addr())
	}
	if _, err := fmt.Fprintln(out, line.String()); err != nil {
		return fmt.Errorf("host: announce: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	for i, s := range sites {
		group.Go(func() error { return serveOne(ctx, log.With("server", s.Name), listeners[i], s) })
	}
	return group.Wait()
}

func serveOne(ctx context.Context, log *slog.Logger, l net.Listener, s Site) error {
	web := &http.Server{
		Handler:           Handler(s.Server, log),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	done := make(chan error, 1)
	go func() {
		<-ctx.Done()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer cancel()
		for session := range s.Server.Sessions() {
			_ = session.Close() // ends the streams that sessions keep open for ever
		}
		err := web.Shutdown(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			err = web.Close()
		}
		done <- err
	}()
	if err := web.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("host: serve %s: %w", s.Name, err)
	}
	if err := <-done; err != nil {
		return fmt.Errorf("host: stop %s: %w", s.Name, err)
	}
	return nil
}
