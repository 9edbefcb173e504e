package cedar

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"

	"github.com/sallyport/sallyport/internal/memo"
	"github.com/sallyport/sallyport/policies"
)

// Bundle is a bundle of Cedar policies that was read and, where keys were given,
// verified.
type Bundle struct {
	Version string            // of the manifest
	Files   map[string][]byte // by path: *.cedar, *.cedarschema, entities.json, *_test.json

	digest string
}

// Revision is the manifest's revision with a digest of everything that can
// change a decision behind it.
func (b *Bundle) Revision() string {
	if b.digest == "" {
		h := sha256.New()
		for _, name := range slices.Sorted(maps.Keys(b.Files)) {
			if !IsTest(name) {
				fmt.Fprintf(h, "%d %s %d\n", len(name), name, len(b.Files[name]))
				h.Write(b.Files[name])
			}
		}
		b.digest = hex.EncodeToString(h.Sum(nil))
	}
	version := b.Version
	if version == "" {
		version = "unversioned"
	}
	return version + "+" + b.digest[:12]
}

// isPart reports whether a file belongs to a bundle of Cedar policies.
func isPart(name string) bool {
	return strings.HasSuffix(name, ".cedar") || strings.HasSuffix(name, ".cedarschema") || path.Base(name) == "entities.json" || IsTest(name)
}

// IsTest reports whether a file holds a bundle's own tests.
func IsTest(name string) bool { return strings.HasSuffix(name, "_test.json") }

// FromFiles returns the bundle that is among the files of an archive.
func FromFiles(version string, files map[string][]byte) *Bundle {
	b := &Bundle{Version: version, Files: make(map[string][]byte)}
	for name, content := range files {
		if isPart(name) {
			b.Files[name] = content
		}
	}
	return b
}

// Steps in which a policy has its say, by the annotation @step.
const (
	atAccess = "access" // the default
	atCall   = "call"   // sees arguments; only forbids refuse, permits carry obligations
	atOblige = "oblige" // permits that permit nothing, and say what every yes carries
)

// New makes policies ready to decide. It refuses what could not decide, or what
// would not do what it says.
func New(b *Bundle, s Settings) (*Policy, error) {
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.Places <= 0 {
		s.Places = 1 << 16
	}
	if s.Deadline <= 0 {
		s.Deadline = time.Second / 2
	}
	p := &Policy{Settings: s, revision: b.Revision(), memo: memo.NewDecisions(s.Places, s.CacheTTL, s.Counts), principals: memo.NewTable[types.Entity](4096), entities: types.EntityMap{}}
	check, err := b.validator()
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(b.Files)) {
		switch {
		case strings.HasSuffix(name, ".cedar"):
			errs = append(errs, p.load(name, b.Files[name], check))
		case path.Base(name) == "entities.json":
			errs = append(errs, p.know(name, b.Files[name], check))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if len(p.permits) == 0 {
		return nil, errors.New("cedar: the bundle permits nothing: it has no permit for the step access")
	}
	return p, nil
}

// validator is of the bundle's own schema, else of the one of this build.
func (b *Bundle) validator() (*validate.Validator, error) {
	text, name := policies.CedarSchema(), "sallyport.cedarschema"
	own := 0
	for file, content := range b.Files {
		if strings.HasSuffix(file, ".cedarschema") {
			text, name = content, file
			own++
		}
	}
	if own > 1 {
		return nil, errors.New("cedar: the bundle has more than one schema")
	}
	var s schema.Schema
	s.SetFilename(name)
	if err := s.UnmarshalCedar(text); err != nil {
		return nil, fmt.Errorf("cedar: schema %s: %w", name, err)
	}
	resolved, err := s.Resolve()
	if err != nil {
		return nil, fmt.Errorf("cedar: schema %s: %w", name, err)
	}
	return validate.New(resolved, validate.WithStrict()), nil
}

// know takes the bundle's entities: roles, clearances, settings.
func (p *Policy) know(name string, text []byte, check *validate.Validator) error {
	var entities types.EntityMap
	if err := json.Unmarshal(text, &entities); err != nil {
		return fmt.Errorf("cedar: %s: %w", name, err)
	}
	for uid, e := range entities {
		switch uid.Type {
		case "Principal", "Action", "Server", "Tool", "Prompt", "Resource", "Template", "Task":
			return fmt.Errorf("cedar: %s: %s: what is asked about comes with the question, and cannot be said here", name, uid)
		}
		if err := check.Entity(e); err != nil {
			return fmt.Errorf("cedar: %s: %s: %w", name, uid, err)
		}
		if _, twice := p.entities[uid]; twice {
			return fmt.Errorf("cedar: %s: %s is there twice", name, uid)
		}
		p.entities[uid] = e
	}
	return nil
}

// load takes the policies of one file.
func (p *Policy) load(name string, text []byte, check *validate.Validator) error {
	list, err := cedar.NewPolicyListFromBytes(name, text)
	if err != nil {
		return fmt.Errorf("cedar: %s: %w", name, err)
	}
	var errs []error
	for _, one := range list {
		if err := p.take(one, check); err != nil {
			errs = append(errs, fmt.Errorf("cedar: %s:%d: %w", name, one.Position().Line, err))
		}
	}
	return errors.Join(errs...)
}

func (p *Policy) take(one *cedar.Policy, check *validate.Validator) error {
	pos := one.Position()
	r := &rule{id: types.PolicyID(fmt.Sprintf("%s:%d", pos.Filename, pos.Line)), policy: one}
	if pos.Column > 1 {
		r.id += types.PolicyID(fmt.Sprintf(":%d", pos.Column))
	}
	tree := (*ast.Policy)(one.AST())
	reads := readsOf(tree)
	step, err := r.annotate(one)
	if err != nil {
		return err
	}
	if reads.whole {
		return errors.New("uses context as a whole; name its members")
	}
	forbids := one.Effect() == cedar.Forbid
	if step != atCall {
		if reads.arguments {
			return errors.New(`reads context.arguments or context.params, which lists cannot have; write @step("call")`)
		}
		// Arguments have no types that a schema could know, so only these are checked.
		if err := check.Policy(string(r.id), tree); err != nil {
			return err
		}
	}
	if reads.volatile {
		bare := *tree
		bare.Conditions, bare.Effect = nil, ast.EffectPermit
		r.scope, r.reads = cedar.NewPolicyFromAST(asExternal(&bare)), reads.members
	}
	if r.adds != nil && len(r.adds.Mask)+len(r.adds.Cap) > 0 {
		p.masks = true
	}
	carries := r.adds != nil || r.tenantAt != ""
	switch {
	case forbids && carries:
		return errors.New("a forbid cannot carry what a yes carries")
	case forbids && step == atOblige:
		return errors.New(`@step("oblige") is for permits`)
	case step == atOblige && !carries:
		return errors.New(`@step("oblige") carries nothing`)
	case !forbids && step == atCall && !carries:
		return errors.New(`a permit with @step("call") permits nothing: it can only carry obligations, and has none`)
	case forbids && step == atCall:
		p.refusals = append(p.refusals, r)
	case forbids:
		p.forbids = append(p.forbids, r)
	case step == atCall:
		p.terms = append(p.terms, r)
	case step == atOblige:
		p.conditions = append(p.conditions, r)
	default:
		p.permits = append(p.permits, r)
	}
	return nil
}

// strict decodes one JSON text without unknown members.
func strict(text string, into any) error {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if d.More() {
		return errors.New("has something behind its end")
	}
	return nil
}
