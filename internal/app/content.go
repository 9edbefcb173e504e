package app

import (
	"os"

	"github.com/sallyport/sallyport/guard/dlp"
	"github.com/sallyport/sallyport/internal/config/notation"
)

// contentPorts are what the guards that look into content may read.
func contentPorts() dlp.Ports {
	return dlp.Ports{
		Read: os.ReadFile,
		Secret: func(reference string) ([]byte, error) {
			var r notation.SecretRef
			if err := r.UnmarshalText([]byte(reference)); err != nil {
				return nil, err
			}
			secret, err := r.Resolve()
			if err != nil {
				return nil, err
			}
			return []byte(secret.Reveal()), nil
		},
	}
}
