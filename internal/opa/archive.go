package opa

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	gopath "path"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/bundle"
)

// Archive is a bundle of something else than Rego, in the format of OPA's
// bundles: it has their manifest, and their signature over all of its files.
type Archive struct {
	About
	Files map[string][]byte // by path, without manifest and signatures
}

const (
	manifestFile   = ".manifest"
	signaturesFile = ".signatures.json"
)

// ReadArchive reads an archive (.tar.gz), and verifies it unless keys is nil.
func ReadArchive(archive []byte, name string, keys *Keys) (*Archive, error) {
	verified, err := Read(bytes.NewReader(archive), name, keys)
	if err != nil {
		return nil, err
	}
	a := &Archive{About: AboutOf(&verified.Manifest), Files: make(map[string][]byte)}
	if err := a.unpack(archive); err != nil {
		return nil, fmt.Errorf("opa: load bundle %s: %w", name, err)
	}
	return a, nil
}

func (a *Archive) unpack(archive []byte) error {
	z, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return err
	}
	from := tar.NewReader(io.LimitReader(z, 2*maxBundle))
	for {
		h, err := from.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		path := strings.TrimPrefix(gopath.Clean("/"+h.Name), "/")
		if path == manifestFile || path == signaturesFile {
			continue
		}
		if _, twice := a.Files[path]; twice {
			return fmt.Errorf("%s is there twice", path) // only one of them was looked at
		}
		if a.Files[path], err = io.ReadAll(from); err != nil {
			return err
		}
	}
}

// Write writes the archive under its version, which must be a semantic one, and
// signs it if there is a key.
func (a *Archive) Write(w io.Writer, privatePEM, algorithm, keyID string) error {
	if !semver.MatchString(a.Version) {
		return fmt.Errorf("opa: build: revision %q is no semantic version such as 1.4.0", a.Version)
	}
	about, err := a.metadata()
	if err != nil {
		return err
	}
	manifest, err := json.Marshal(map[string]any{"revision": a.Version, "metadata": map[string]any{aboutKey: about}})
	if err != nil {
		return err
	}
	files := maps.Clone(a.Files)
	files[manifestFile] = manifest
	if privatePEM != "" {
		if keyID == "" {
			return errors.New("opa: sign: the signature needs a key id, by which gateways find the public key")
		}
		if files[signaturesFile], err = signature(files, privatePEM, algorithm, keyID); err != nil {
			return fmt.Errorf("opa: sign: %w", err)
		}
	}
	z := gzip.NewWriter(w)
	to := tar.NewWriter(z)
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if err := to.WriteHeader(&tar.Header{Name: "/" + path, Mode: 0o600, Size: int64(len(files[path])), Typeflag: tar.TypeReg}); err != nil {
			return fmt.Errorf("opa: build: %w", err)
		}
		if _, err := to.Write(files[path]); err != nil {
			return fmt.Errorf("opa: build: %w", err)
		}
	}
	if err := errors.Join(to.Close(), z.Close()); err != nil {
		return fmt.Errorf("opa: build: %w", err)
	}
	return nil
}

// signature is the file of signatures over files, as OPA writes it.
func signature(files map[string][]byte, privatePEM, algorithm, keyID string) ([]byte, error) {
	hash, err := bundle.NewSignatureHasher(bundle.SHA256)
	if err != nil {
		return nil, err
	}
	var list []bundle.FileInfo
	for _, path := range slices.Sorted(maps.Keys(files)) {
		var of any = files[path]
		if bundle.IsStructuredDoc(path) { // hashed as what it says, not as it is written
			if err := json.Unmarshal(files[path], &of); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
		}
		sum, err := hash.HashFile(of)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		list = append(list, bundle.NewFile(path, hex.EncodeToString(sum), string(bundle.SHA256)))
	}
	token, err := bundle.GenerateSignedToken(list, bundle.NewSigningConfig(privatePEM, algorithm, ""), keyID)
	if err != nil {
		return nil, err
	}
	return json.Marshal(bundle.SignaturesConfig{Signatures: []string{token}})
}
