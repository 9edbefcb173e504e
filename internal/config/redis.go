package config

import (
	"time"

	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/internal/config/strict"
)

// Redis is what replicas share.
type Redis struct {
	Addresses        []notation.DialAddress `yaml:"addresses" restart:"true" doc:"The server, or sentinels, or some nodes of a cluster, such as redis:6379. When absent, each process keeps everything for itself"`
	SentinelMaster   string                 `yaml:"sentinel_master" restart:"true" doc:"Name of the server that the sentinels at addresses watch"`
	SentinelPassword notation.SecretRef     `yaml:"sentinel_password" restart:"true" doc:"Password of the sentinels"`
	Cluster          bool                   `yaml:"cluster" restart:"true" doc:"The addresses are nodes of a Redis Cluster"`
	Username         string                 `yaml:"username" restart:"true" doc:"User of Redis' access lists"`
	Password         notation.SecretRef     `yaml:"password" restart:"true" doc:"Password of the server"`
	Database         int                    `yaml:"database" min:"0" max:"1000" restart:"true" doc:"Number of the database"`
	TLS              RedisTLS               `yaml:"tls" doc:"How Redis and gateway prove who they are"`
	Timeout          time.Duration          `yaml:"timeout" min:"5ms" max:"10s" restart:"true" doc:"How long one answer may take; less than the timeout of the guards that wait for it"`
	Prefix           string                 `yaml:"prefix" restart:"true" doc:"What all keys begin with; gateways with one prefix share their counters"`
}

// RedisTLS says how Redis and gateway prove who they are. Paths are relative to
// the configuration.
type RedisTLS struct {
	Enabled     bool   `yaml:"enabled" restart:"true" doc:"Speak TLS 1.2 or newer"`
	CA          string `yaml:"ca" restart:"true" doc:"PEM file of the certificate authorities to trust; the system's when absent"`
	ServerName  string `yaml:"server_name" restart:"true" doc:"Name that the server's certificate must have; the host of its address when absent"`
	Certificate string `yaml:"certificate" restart:"true" doc:"PEM file with the certificate that the gateway shows"`
	Key         string `yaml:"key" restart:"true" doc:"PEM file with its key"`
}

// Check reports settings that contradict each other.
func (r *Redis) Check(at strict.At) {
	field := at.Field
	if len(r.Addresses) == 0 {
		if p := field("addresses"); p.OK() && !p.Refused() {
			at.Report("needs addresses: say where Redis is, or remove the block")
		}
		return
	}
	if r.Cluster && r.SentinelMaster != "" && field("sentinel_master").OK() {
		field("sentinel_master").Report("cannot be with cluster, which looks after itself")
	}
	if r.Cluster && r.Database != 0 && field("database").OK() {
		field("database").Report("must be 0: a cluster has one")
	}
	if len(r.Addresses) > 1 && !r.Cluster && r.SentinelMaster == "" && field("addresses").OK() {
		field("addresses").Report("is more than one: say cluster: true, or which sentinel_master they watch")
	}
	if r.Prefix == "" && field("prefix").OK() {
		field("prefix").Report("is empty")
	}
	if t := field("tls"); t.OK() {
		switch {
		case !r.TLS.Enabled && (r.TLS.CA != "" || r.TLS.ServerName != "" || r.TLS.Certificate != "" || r.TLS.Key != ""):
			t.Report("needs enabled: true, or nothing of it takes effect")
		case (r.TLS.Certificate == "") != (r.TLS.Key == ""):
			t.Report("needs certificate and key together")
		}
	}
}
