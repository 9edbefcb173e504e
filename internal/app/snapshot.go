package app

import (
	"path/filepath"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/gate"
)

// Snapshot builds what judges under the configuration at path, as a gateway
// that serves would, and without serving: with it a service in the same process
// can judge as the gateway does.
func Snapshot(path string, observers ...guard.Observer) (*gate.Snapshot, error) {
	cfg, err := config.Load(path, ConfigOptions())
	if err != nil {
		return nil, err
	}
	return (&lasting{dir: filepath.Dir(path)}).snapshot(cfg, observers...)
}
