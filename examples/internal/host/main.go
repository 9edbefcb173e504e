package host

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Offer is a server that a program can run, with the address it has unless a
// flag of the server's name says otherwise.
type Offer struct {
	Name string
	Addr string
	New  func() (*mcp.Server, error)
}

// Main is the body of a main function: it runs the offered servers until SIGINT
// or SIGTERM and returns the exit status: 0 after an orderly end, 1 after a
// failure, 2 after a misuse.
func Main(program string, offers ...Offer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := run(ctx, program, os.Args[1:], os.Stdout, os.Stderr, offers)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2
	}
	fmt.Fprintln(os.Stderr, program+":", err)
	return 1
}

var errUsage = errors.New("usage")

func run(ctx context.Context, program string, args []string, stdout, stderr io.Writer, offers []Offer) error {
	flags := flag.NewFlagSet(program, flag.ContinueOnError)
	flags.SetOutput(stderr)
	addrs := make([]*string, len(offers))
	for i, o := range offers {
		addrs[i] = flags.String(o.Name, o.Addr, "`address` of the "+o.Name+" server; port 0 picks a free one; empty leaves it out")
	}
	verbose := flags.Bool("v", false, "log every session")
	check := flags.Bool("check", false, "serve nothing; say whether something listens at every address")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage // the flag set has said what is wrong
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "%s: unexpected argument %q\n", program, flags.Arg(0))
		return errUsage
	}
	if *check {
		return dial(ctx, addrs)
	}
	level := slog.LevelWarn
	if *verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	var sites []Site
	for i, o := range offers {
		if *addrs[i] == "" {
			continue
		}
		s, err := o.New()
		if err != nil {
			return err
		}
		sites = append(sites, Site{Name: o.Name, Addr: *addrs[i], Server: s})
	}
	return Serve(ctx, program, log, stdout, sites...)
}

// dial reports the addresses at which nothing listens, for health checks of
// images without a shell.
func dial(ctx context.Context, addrs []*string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var errs []error
	for _, addr := range addrs {
		if *addr == "" {
			continue
		}
		c, err := new(net.Dialer).DialContext(ctx, "tcp", *addr)
		if err == nil {
			err = c.Close()
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
