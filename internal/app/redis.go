package app

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/internal/redis"
)

func redisOptions(cfg config.Redis) (redis.Options, error) {
	o := redis.Options{
		Master: cfg.SentinelMaster, Cluster: cfg.Cluster, Database: cfg.Database,
		Username: cfg.Username, Timeout: cfg.Timeout, Prefix: cfg.Prefix,
	}
	for _, a := range cfg.Addresses {
		o.Addresses = append(o.Addresses, a.String())
	}
	for _, s := range []struct {
		ref notation.SecretRef
		to  *string
	}{{cfg.Password, &o.Password}, {cfg.SentinelPassword, &o.SentinelPassword}} {
		if s.ref.Kind == "" {
			continue
		}
		secret, err := s.ref.Resolve()
		if err != nil {
			return o, fmt.Errorf("redis: %w", err)
		}
		*s.to = secret.Reveal()
	}
	if !cfg.TLS.Enabled {
		return o, nil
	}
	o.TLS = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: cfg.TLS.ServerName}
	if cfg.TLS.CA != "" {
		pem, err := os.ReadFile(cfg.TLS.CA)
		if err != nil {
			return o, fmt.Errorf("redis.tls.ca: %w", err)
		}
		o.TLS.RootCAs = x509.NewCertPool()
		if !o.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return o, errors.New("redis.tls.ca: no certificate in it")
		}
	}
	if cfg.TLS.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(cfg.TLS.Certificate, cfg.TLS.Key)
		if err != nil {
			return o, fmt.Errorf("redis.tls.certificate: %w", err)
		}
		o.TLS.Certificates = []tls.Certificate{pair}
	}
	return o, nil
}
