package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/guard/policy"
	"github.com/sallyport/sallyport/internal/cedar"
	"github.com/sallyport/sallyport/internal/opa"
	"github.com/sallyport/sallyport/internal/release"
	"github.com/sallyport/sallyport/internal/replay"
	"github.com/sallyport/sallyport/policies"
)

// decider is a policy that can be asked, and says what its answers came from.
type decider interface {
	policy.Decider
	replay.Examiner
}

const patience = 10 * time.Second // for one decision, where nobody waits for it

// policyBundle is a bundle of either language.
type policyBundle struct {
	rego    *opa.Bundle
	cedar   *cedar.Bundle
	archive *opa.Archive // of cedar
}

// loadPolicy reads a bundle, and verifies it unless keys is nil. What holds
// *.cedar is a bundle of Cedar policies.
func loadPolicy(ctx context.Context, path string, keys *opa.Keys) (*policyBundle, error) {
	var source release.Source = &release.Local{Path: path}
	switch path {
	case "default":
		source = &release.Embedded{FS: policies.Default()}
	case "default-cedar":
		source = &release.Embedded{FS: policies.Cedar()}
	}
	offer, err := source.Fetch(ctx, "", 0)
	if err == nil {
		err = release.Check(offer.Archive)
	}
	if err != nil {
		return nil, err
	}
	a, err := opa.ReadArchive(offer.Archive, path, keys)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(slices.Collect(maps.Keys(a.Files)), func(name string) bool { return strings.HasSuffix(name, ".cedar") }) {
		return &policyBundle{cedar: cedar.FromFiles(a.Version, a.Files), archive: a}, nil
	}
	b, err := opa.Read(bytes.NewReader(offer.Archive), path, keys)
	if err != nil {
		return nil, err
	}
	return &policyBundle{rego: b}, nil
}

// decider makes the bundle ready, as the gateway does.
func (b *policyBundle) decider() (decider, error) {
	if b.cedar != nil {
		p, err := cedar.New(b.cedar, cedar.Settings{Places: 1, Deadline: patience})
		if err != nil {
			return nil, err
		}
		return p, nil
	}
	p, err := opa.New(b.rego, opa.Settings{Places: 1, Deadline: patience})
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (b *policyBundle) revision() string {
	if b.cedar != nil {
		return b.cedar.Revision()
	}
	return b.rego.Revision()
}

// test runs the bundle's tests, and says what went wrong line by line.
func (b *policyBundle) test(ctx context.Context) (report any, tests opa.Tests, failed, missed []string, err error) {
	if b.cedar != nil {
		r, err := cedar.Test(ctx, b.cedar)
		if err != nil {
			return nil, opa.Tests{}, nil, nil, err
		}
		for _, f := range r.Failed {
			failed = append(failed, fmt.Sprintf("%s: is %s, not %s", f.Name, f.Got, f.Want))
		}
		return r, opa.Tests{Passed: r.Passed, Failed: len(r.Failed)}, failed, r.Unused, nil
	}
	r, err := opa.Test(ctx, b.rego)
	if err != nil {
		return nil, opa.Tests{}, nil, nil, err
	}
	for _, f := range r.Failed {
		failed = append(failed, fmt.Sprintf("%s at %s: %s", f.Test, f.At, f.Why))
	}
	return r, opa.Tests{Passed: r.Passed, Failed: len(r.Failed), Coverage: r.Coverage}, failed, r.Missed, nil
}

// build writes the bundle under a version, without its tests, whose outcome its
// manifest says instead.
func (b *policyBundle) build(ctx context.Context, w io.Writer, version, commit string) error {
	_, tests, failed, _, err := b.test(ctx)
	if err != nil {
		return err
	}
	if len(failed) > 0 {
		return fmt.Errorf("%d tests fail, so nothing was built: %s", len(failed), failed[0])
	}
	if b.cedar != nil {
		a := &opa.Archive{About: b.archive.About, Files: make(map[string][]byte)}
		if version != "" {
			a.Version = version
		}
		a.Commit, a.Tests = commit, tests
		for name, content := range b.cedar.Files {
			if !cedar.IsTest(name) {
				a.Files[name] = content
			}
		}
		return a.Write(w, "", "", "")
	}
	if err := b.rego.Say(opa.About{Commit: commit, Tests: tests}); err != nil {
		return err
	}
	return opa.Build(w, b.rego, version)
}

// sign writes the bundle signed, as it was built.
func (b *policyBundle) sign(w io.Writer, privatePEM, algorithm, id string) error {
	if b.cedar == nil {
		return opa.Sign(w, b.rego, privatePEM, algorithm, id)
	}
	a := &opa.Archive{About: b.archive.About, Files: make(map[string][]byte)}
	for name, content := range b.cedar.Files {
		if !cedar.IsTest(name) {
			a.Files[name] = content
		}
	}
	return a.Write(w, privatePEM, algorithm, id)
}
