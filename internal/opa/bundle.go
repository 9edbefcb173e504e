package opa

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
)

// Bundle is an OPA bundle that was read and, where keys were given, verified.
type Bundle struct {
	bundle.Bundle
	digest string
}

// Keys verify bundles. A nil *Keys accepts every bundle, signed or not.
type Keys struct {
	Public   map[string]Key // by the key id that a signature names
	Optional bool           // accept bundles without a signature; a wrong one never is
}

// Key is one public key.
type Key struct {
	PEM       string
	Algorithm string // RS256, ES256, EdDSA, ...
}

// maxBundle bounds one file of a bundle, and an archive.
const maxBundle = 64 << 20

// Load reads a bundle from a directory or an archive (.tar.gz), and verifies it
// unless keys is nil.
func Load(path string, keys *Keys) (*Bundle, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("opa: load bundle: %w", err)
	}
	if info.IsDir() {
		loader, err := bundle.NewFSLoader(os.DirFS(path))
		if err != nil {
			return nil, fmt.Errorf("opa: load bundle %s: %w", path, err)
		}
		return read(loader, path, keys)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opa: load bundle: %w", err)
	}
	defer f.Close()
	return Read(f, path, keys)
}

// Read is Load for an archive; name is used in errors.
func Read(r io.Reader, name string, keys *Keys) (*Bundle, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxBundle+1))
	if err != nil {
		return nil, fmt.Errorf("opa: load bundle %s: %w", name, err)
	}
	if len(data) > maxBundle {
		return nil, fmt.Errorf("opa: load bundle %s: larger than %d bytes", name, maxBundle)
	}
	return read(bundle.NewTarballLoaderWithBaseURL(bytes.NewReader(data), ""), name, keys)
}

func read(loader bundle.DirectoryLoader, name string, keys *Keys) (*Bundle, error) {
	r := bundle.NewCustomReader(loader.WithFilter(skip)).WithSizeLimitBytes(maxBundle).WithCapabilities(capabilities()).WithRegoVersion(ast.RegoV1)
	if keys == nil {
		r = r.WithSkipBundleVerification(true)
	} else {
		public := make(map[string]*bundle.KeyConfig, len(keys.Public))
		for id, k := range keys.Public {
			public[id] = &bundle.KeyConfig{Key: k.PEM, Algorithm: k.Algorithm}
		}
		v := bundle.NewVerificationConfig(public, "", "", nil)
		if keys.Optional {
			v = v.WithOptionalSignature()
		}
		r = r.WithBundleVerificationConfig(v)
	}
	b, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("opa: load bundle %s: %w", name, err)
	}
	if b.Type() != bundle.SnapshotBundleType {
		return nil, fmt.Errorf("opa: load bundle %s: is a delta bundle, which cannot be taken whole", name)
	}
	out := &Bundle{Bundle: b}
	if out.digest, err = digest(&b); err != nil {
		return nil, fmt.Errorf("opa: load bundle %s: %w", name, err)
	}
	return out, nil
}

// skip leaves out what lies beside a bundle in a work tree.
func skip(path string, info fs.FileInfo, _ int) bool {
	base := info.Name()
	return info.IsDir() && strings.HasPrefix(base, ".") && base != "." && len(base) > 1
}

// Revision is the manifest's revision with a digest of rules and data behind
// it, so that two bundles with one revision can be told apart.
func (b *Bundle) Revision() string {
	revision := b.Manifest.Revision
	if revision == "" {
		revision = "unversioned"
	}
	return revision + "+" + b.digest[:12]
}

// digest is over everything that can change a decision, in whatever form the
// bundle came.
func digest(b *bundle.Bundle) (string, error) {
	h := sha256.New()
	modules := slices.Clone(b.Modules)
	slices.SortFunc(modules, func(x, y bundle.ModuleFile) int { return strings.Compare(x.Path, y.Path) })
	for _, m := range modules {
		if isTest(m.Path) {
			continue
		}
		path := strings.TrimPrefix(m.Path, "/")
		fmt.Fprintf(h, "%d %s %d\n", len(path), path, len(m.Raw))
		h.Write(m.Raw)
	}
	data, err := json.Marshal(b.Data)
	if err != nil {
		return "", err
	}
	h.Write(data)
	return hex.EncodeToString(h.Sum(nil)), nil
}

func isTest(path string) bool { return strings.HasSuffix(path, "_test.rego") }
