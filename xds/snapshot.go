package xds

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	cachetypes "github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"google.golang.org/protobuf/proto"
)

// hashed is one resource with the version that Envoy compares: the hash of its
// bytes that the library makes too, so that an unchanged resource is never sent
// again, not even by another replica or after a restart.
type hashed struct {
	message proto.Message
	version string
}

// content is what Envoy is given: resources by type and name. It is immutable.
type content map[string]map[string]hashed

// contentOf hashes the resources.
func contentOf(r *Resources) (content, error) {
	c := make(content, len(types))
	for t, named := range r.named() {
		c[t] = make(map[string]hashed, len(named))
		for name, m := range named {
			b, err := cache.MarshalResource(m)
			if err != nil {
				return nil, fmt.Errorf("xds: hash %s %q: %w", short(t), name, err)
			}
			c[t][name] = hashed{m, cache.HashResource(b)}
		}
	}
	return c, nil
}

// version of one type: equal for equal resources.
func (c content) typeVersion(t string) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(c[t])) {
		fmt.Fprintf(h, "%s\x00%s\x00", name, c[t][name].version)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// typeVersions returns the versions of all types.
func (c content) typeVersions() map[string]string {
	out := make(map[string]string, len(types))
	for _, t := range types {
		out[t] = c.typeVersion(t)
	}
	return out
}

// version of the whole.
func (c content) version() string {
	h := sha256.New()
	for _, t := range types {
		fmt.Fprintf(h, "%s\x00", c.typeVersion(t))
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// Version names the resources: equal ones have equal versions. It is what the
// status and the hooks of a [Server] call a configuration by.
func (r *Resources) Version() (string, error) {
	c, err := contentOf(r)
	if err != nil {
		return "", err
	}
	return c.version(), nil
}

// with returns c with the resources of type t replaced.
func (c content) with(t string, resources map[string]hashed) content {
	out := maps.Clone(c)
	out[t] = resources
	return out
}

// union returns a and what b has besides.
func union(a, b map[string]hashed) map[string]hashed {
	out := maps.Clone(b)
	maps.Copy(out, a)
	return out
}

// snapshot is c in the form of the cache. The version map is filled in, which
// spares the cache from hashing everything again.
func (c content) snapshot(versions map[string]string) *cache.Snapshot {
	s := &cache.Snapshot{VersionMap: make(map[string]map[string]string, len(types))}
	for _, t := range types {
		items := make(map[string]cachetypes.ResourceWithTTL, len(c[t]))
		s.VersionMap[t] = make(map[string]string, len(c[t]))
		for name, r := range c[t] {
			items[name] = cachetypes.ResourceWithTTL{Resource: r.message}
			s.VersionMap[t][name] = r.version
		}
		s.Resources[cache.GetResponseType(t)] = cache.Resources{Version: versions[t], Items: items}
	}
	return s
}
