package syslog

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/testenv"
	"github.com/sallyport/sallyport/internal/audit/deliver"
)

// receiver reads counted messages over TLS.
type receiver struct {
	t    testing.TB
	ln   net.Listener
	mu   sync.Mutex
	got  []string
	open []net.Conn
}

// certificate returns one that is good for 127.0.0.1, and the PEM to trust.
func certificate(t testing.TB) (tls.Certificate, []byte) {
	t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	srv.StartTLS()
	defer srv.Close()
	return srv.TLS.Certificates[0], pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
}

func listen(t testing.TB, address string, cert tls.Certificate) *receiver {
	t.Helper()
	ln, err := tls.Listen("tcp", address, &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{t: t, ln: ln}
	t.Cleanup(r.close)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			r.open = append(r.open, c)
			r.mu.Unlock()
			go r.read(c)
		}
	}()
	return r
}

func (r *receiver) close() {
	_ = r.ln.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.open {
		_ = c.Close()
	}
}

func (r *receiver) read(c net.Conn) {
	b := bufio.NewReader(c)
	for {
		count, err := b.ReadString(' ')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimSuffix(count, " "))
		if err != nil {
			r.t.Errorf("count %q", count)
			return
		}
		text := make([]byte, n)
		if _, err := io.ReadFull(b, text); err != nil {
			return
		}
		r.mu.Lock()
		r.got = append(r.got, string(text))
		r.mu.Unlock()
	}
}

func (r *receiver) have(t testing.TB, n int) []string {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		r.mu.Lock()
		got := append([]string(nil), r.got...)
		r.mu.Unlock()
		if len(got) >= n {
			return got
		}
		if time.Now().After(end) {
			t.Fatalf("%d messages, want %d", len(got), n)
		}
	}
}

func item(n int, s deliver.Severity) *deliver.Item {
	return &deliver.Item{Kind: deliver.Receipt, Time: time.UnixMicro(1700000000123456), Body: fmt.Appendf(nil, "message\nnumber %d é", n), Facts: deliver.Facts{Severity: s}}
}

func TestMessagesAreCountedAndWhatABrokenConnectionMaySwallowComesAgain(t *testing.T) {
	cert, ca := certificate(t)
	address := testenv.FreeAddress(t) // which stays ours
	r := listen(t, address, cert)
	s, err := New(Options{Address: address, TLS: true, CA: ca, Facility: 13, Hostname: "gate way", Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := s.Deliver(ctx, []*deliver.Item{item(1, deliver.Info), item(2, deliver.Critical)}); err != nil {
		t.Fatal(err)
	}
	got := r.have(t, 2)
	if !strings.HasPrefix(got[0], "<110>1 2023-11-14T22:13:20.123456Z gateway sallyport ") || !strings.HasSuffix(got[0], " receipt - message\nnumber 1 é") || !strings.HasPrefix(got[1], "<106>1 ") {
		t.Errorf("%q", got)
	}
	r.close()
	again := listen(t, address, cert)
	testenv.Eventually(t, time.Minute, "delivery", func() bool { // the first tries may find the end of the old connection
		_, err := s.Deliver(ctx, []*deliver.Item{item(3, deliver.Info)})
		return err == nil
	})
	all := strings.Join(again.have(t, 3), "\n")
	for _, n := range []string{"number 1 ", "number 2 ", "number 3 "} {
		if !strings.Contains(all, n) {
			t.Errorf("%s did not come again", n)
		}
	}
}

func TestAReceiverThatCannotBeVerifiedGetsNothing(t *testing.T) {
	cert, _ := certificate(t)
	r := listen(t, "127.0.0.1:0", cert)
	s, err := New(Options{Address: r.ln.Addr().String(), TLS: true, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := s.Deliver(ctx, []*deliver.Item{item(1, deliver.Info)}); err == nil {
		t.Error("it was trusted")
	}
	if _, err := New(Options{Address: "127.0.0.1:1", TLS: true, CA: []byte("no")}); err == nil {
		t.Error("no certificate, and no complaint")
	}
}

func TestADeliveryThatIsCalledOffTouchesNoConnectionAfterwards(t *testing.T) {
	cert, ca := certificate(t)
	r := listen(t, "127.0.0.1:0", cert)
	for range 50 {
		s, err := New(Options{Address: r.ln.Addr().String(), TLS: true, CA: ca, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		go func() { time.Sleep(time.Duration(time.Now().UnixNano()%3) * time.Millisecond); cancel() }()
		for i := 0; ctx.Err() == nil; i++ {
			_, _ = s.Deliver(ctx, []*deliver.Item{item(i, deliver.Info)}) // it may fail when it is called off
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
