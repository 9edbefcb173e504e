package app

import (
	"crypto/tls"
	"fmt"

	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/internal/remote"
)

// remoteOptions says how to speak to a service.
func remoteOptions(url string, s policy.Service) (remote.Options, error) {
	o := remote.Options{URL: url}
	if s.Token != "" {
		o.Token = func() (string, error) { return secret(s.Token) }
		if _, err := o.Token(); err != nil {
			return o, fmt.Errorf("token: %w", err)
		}
	}
	if s.Certificate != "" {
		o.Certificate = func() (*tls.Certificate, error) { return keyPair(s) }
		if _, err := o.Certificate(); err != nil {
			return o, err
		}
	}
	if s.CA != "" {
		pem, err := secret(s.CA)
		if err != nil {
			return o, fmt.Errorf("ca: %w", err)
		}
		o.CA = []byte(pem)
	}
	return o, nil
}

func keyPair(s policy.Service) (*tls.Certificate, error) {
	cert, err := secret(s.Certificate)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	key, err := secret(s.Key)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return &pair, nil
}

func secret(reference string) (string, error) {
	var ref notation.SecretRef
	if err := ref.UnmarshalText([]byte(reference)); err != nil {
		return "", err
	}
	s, err := ref.Resolve()
	if err != nil {
		return "", err
	}
	return s.Reveal(), nil
}
