package testenv

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Certificate is a certificate and its key. That of an authority issues others;
// any other does so too, and nobody should believe it.
type Certificate struct {
	*x509.Certificate
	Key *ecdsa.PrivateKey
}

// NewAuthority returns the certificate of an authority, which may have names.
func NewAuthority(t testing.TB, names ...string) *Certificate {
	t.Helper()
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, KeyUsage: x509.KeyUsageCertSign}
	return certify(t, nil, template, time.Hour, names)
}

// Issue returns a certificate for these names, which are hosts, addresses or
// URIs; where none is a host or an address, it is for 127.0.0.1 too. It is good for
// a time from now; a negative one has passed.
func (c *Certificate) Issue(t testing.TB, lives time.Duration, names ...string) *Certificate {
	t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "somebody"}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	return certify(t, c, template, lives, names)
}

func certify(t testing.TB, by *Certificate, template *x509.Certificate, lives time.Duration, names []string) *Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.BasicConstraintsValid = serial, true
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(lives)
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if !strings.Contains(name, "://") {
			template.DNSNames = append(template.DNSNames, name)
		} else if u, err := url.Parse(name); err == nil {
			template.URIs = append(template.URIs, u)
		} else {
			t.Fatal(err)
		}
	}
	key := NewKey(t)
	if by == nil {
		by = &Certificate{template, key}
	} else if len(template.IPAddresses)+len(template.DNSNames) == 0 {
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.Certificate, key.Public(), by.Key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &Certificate{cert, key}
}

// PEM returns the certificate.
func (c *Certificate) PEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

// PKCS8 returns the key in DER.
func (c *Certificate) PKCS8(t testing.TB) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.Key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// KeyPEM returns the key.
func (c *Certificate) KeyPEM(t testing.TB) string {
	t.Helper()
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: c.PKCS8(t)}))
}

// Write puts both into dir, as name.pem and name.key, and returns where they are.
// Who watches the certificate finds its key there already.
func (c *Certificate) Write(t testing.TB, dir, name string) (cert, key string) {
	t.Helper()
	cert, key = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	Write(t, key, c.KeyPEM(t))
	Write(t, cert, c.PEM())
	return cert, key
}

// TLS returns both as crypto/tls has them.
func (c *Certificate) TLS() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: c.Key, Leaf: c.Certificate}
}

// Trusting returns the settings of a client that believes this authority. It shows
// a certificate, if it has one, also to a server that asked for those of others.
func (c *Certificate) Trusting(shows *Certificate) *tls.Config {
	conf := &tls.Config{RootCAs: x509.NewCertPool()}
	conf.RootCAs.AddCert(c.Certificate)
	if shows != nil {
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			own := shows.TLS()
			return &own, nil
		}
	}
	return conf
}
