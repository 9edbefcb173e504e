package declare

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
)

// maxPEM is more than any bundle of certificate authorities needs.
const maxPEM = 4 << 20

// pemFiles checks the certificates that servers refer to, each once: a thousand
// servers often share one authority.
type pemFiles struct{ checked map[string]error }

func newPEMFiles() *pemFiles { return &pemFiles{make(map[string]error)} }

func (f *pemFiles) once(key string, check func() error) error {
	err, known := f.checked[key]
	if !known {
		err = check()
		f.checked[key] = err
	}
	return err
}

// authority checks that path holds certificates.
func (f *pemFiles) authority(path string) error {
	return f.once(path, func() error { return CheckAuthority(path) })
}

// CheckAuthority checks that path holds certificates.
func CheckAuthority(path string) error {
	data, err := readPEM(path)
	if err != nil {
		return err
	}
	found := 0
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return fmt.Errorf("%s holds a certificate that cannot be read: %w", path, err)
		}
		found++
	}
	if found == 0 {
		return fmt.Errorf("%s holds no certificate in PEM", path)
	}
	return nil
}

// pair checks that the two files hold a certificate and its key.
func (f *pemFiles) pair(cert, key string) error {
	return f.once(cert+"\x00"+key, func() error { return CheckPair(cert, key) })
}

// CheckPair checks that the two files hold a certificate and its key.
func CheckPair(cert, key string) error {
	c, err := readPEM(cert)
	if err != nil {
		return err
	}
	k, err := readPEM(key)
	if err != nil {
		return err
	}
	if _, err := tls.X509KeyPair(c, k); err != nil {
		return fmt.Errorf("%s and %s are not a certificate and its key: %w", cert, key, err)
	}
	return nil
}

func readPEM(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxPEM {
		return nil, fmt.Errorf("%s is not a regular file of at most 4 MiB", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	return data, nil
}
