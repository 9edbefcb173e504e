package config

import (
	"time"

	"github.com/sallyport/sallyport/internal/config/strict"
)

// Revoked says how the list of revocations is kept.
type Revoked struct {
	File     string        `yaml:"file" restart:"true" doc:"File of this gateway alone in which the list outlives the process; relative to this file. Without it, and without redis, the list is gone at a restart"`
	MaxStale time.Duration `yaml:"max_stale" min:"2s" max:"30d" restart:"true" doc:"With redis: how long the last known list counts while Redis cannot be asked; then every caller is refused. When absent it counts as long as the process lives"`
	Limit    int           `yaml:"limit" min:"1" max:"1000000" restart:"true" doc:"Entries that the list may have"`
}

func (c *Config) checkRevoked(at strict.At) {
	if p := at.Field("file"); p.OK() && p.Exists() && c.Revoked.File == "" {
		p.Report("is empty; write the path of a file")
	}
	if p := at.Field("max_stale"); p.OK() && p.Exists() && len(c.Redis.Addresses) == 0 {
		p.Report("means something only with redis.addresses: without, the list is this gateway's own")
	}
}
