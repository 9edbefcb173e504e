package spiffe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

// Files hold what a Workload API would give, kept up to date by somebody else,
// such as spiffe-helper.
type Files struct {
	Certificate, Key string // PEM: the SVID with its chain, and its key
	Bundles          []BundleFile
}

// BundleFile holds the authorities of one trust domain.
type BundleFile struct {
	TrustDomain string
	X509        string // PEM of certificates
	JWKS        string // keys of JWT-SVIDs as a JWK set; empty for none
}

const (
	often   = time.Second // between two looks at the files
	maxFile = 1 << 20     // bytes
)

// followFiles looks at the files until ctx ends. They are taken together: while
// one does not fit the others, perhaps because it is just being replaced, the
// last good ones serve on.
func (s *Source) followFiles(ctx context.Context) error {
	tick := time.NewTicker(s.o.look)
	defer tick.Stop()
	var last [][]byte
	for {
		switch text, err := s.o.Files.read(); {
		case err != nil:
			last = nil
			s.failed(err)
		case !equal(text, last):
			if last = text; !s.load(text) {
				last = nil
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// load takes the contents of the files, all or none.
func (s *Source) load(text [][]byte) (ok bool) {
	m, keys, err := s.o.Files.parse(text, time.Now())
	if err == nil {
		_, err = m.check(s.o.TrustDomains)
	}
	if err == nil && s.o.JWT && keys.Len() == 0 {
		err = errors.New("spiffe: no file has keys of JWT-SVIDs")
	}
	if err != nil {
		s.failed(err)
		return false
	}
	if s.o.JWT {
		s.takeKeys(keys)
	}
	s.take(m)
	return true
}

// read returns the contents of the files, in the order of paths.
func (f *Files) read() ([][]byte, error) {
	var out [][]byte
	for _, path := range f.paths() {
		b, err := readFile(path)
		if err != nil {
			return nil, fmt.Errorf("spiffe: files: %w", err)
		}
		out = append(out, b)
	}
	return out, nil
}

func (f *Files) paths() []string {
	paths := []string{f.Certificate, f.Key}
	for _, b := range f.Bundles {
		paths = append(paths, b.X509)
		if b.JWKS != "" {
			paths = append(paths, b.JWKS)
		}
	}
	return paths
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("%s is larger than 1 MiB", path)
	}
	return b, err
}

// parse reads the contents of the files. The SVID must be one that its own
// bundle verifies now.
func (f *Files) parse(text [][]byte, now time.Time) (*Material, *jwtbundle.Set, error) {
	svid, err := x509svid.Parse(text[0], text[1])
	if err != nil {
		return nil, nil, fmt.Errorf("spiffe: files: %w", err)
	}
	text = text[2:]
	set, keys := x509bundle.NewSet(), jwtbundle.NewSet()
	for _, b := range f.Bundles {
		domain, err := spiffeid.TrustDomainFromString(b.TrustDomain)
		if err != nil {
			return nil, nil, fmt.Errorf("spiffe: files: %w", err)
		}
		bundle, err := x509bundle.Parse(domain, text[0])
		if err == nil && bundle.Empty() {
			err = errors.New("holds no certificate")
		}
		if err != nil {
			return nil, nil, fmt.Errorf("spiffe: files: %s: %w", b.X509, err)
		}
		set.Add(bundle)
		if text = text[1:]; b.JWKS == "" {
			continue
		}
		jwks, err := jwtbundle.Parse(domain, text[0])
		if err != nil {
			return nil, nil, fmt.Errorf("spiffe: files: %s: %w", b.JWKS, err)
		}
		keys.Add(jwks)
		text = text[1:]
	}
	if _, _, err := x509svid.Verify(svid.Certificates, set, x509svid.WithTime(now)); err != nil {
		return nil, nil, fmt.Errorf("spiffe: files: the certificate is not one that its own trust domain's bundle verifies now: %w", err)
	}
	m, err := newMaterial(svid, set.Bundles())
	return m, keys, err
}

func equal(a, b [][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}
