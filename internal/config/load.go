package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/sallyport/sallyport/internal/config/declare"
	"github.com/sallyport/sallyport/internal/config/strict"
)

// Options is what a build brings to a configuration.
type Options struct {
	Guards    map[string]GuardSection // by name
	Available Capabilities
}

// document is all that a file may hold.
type document struct {
	Config  `yaml:",inline"`
	Servers []declare.Server `yaml:"servers" doc:"MCP servers behind the gateway"`
	Guards  strict.At        `yaml:"guards" doc:"Settings of the guards, by name"`
}

// Load reads the configuration at path and everything it refers to. The error
// is [Problems]: all that is wrong, not just the first.
func Load(path string, o Options) (*Config, error) {
	return newLoader(o).load(path)
}

// Parse reads a configuration from memory. Its name is used in errors, and
// relative paths begin at its directory.
func Parse(name string, data []byte, o Options) (*Config, error) {
	return newLoader(o).parse(name, data)
}

// loader keeps what can be used again when the files are read again.
type loader struct {
	Options
	decoder *strict.Decoder
	servers *declare.Reader

	// The last good file, so that a change in the registry directory costs no
	// second reading of the configuration.
	data string
	last *Config
	own  []declare.Declared
}

func newLoader(o Options) *loader {
	return &loader{Options: o, decoder: strict.NewDecoder(), servers: declare.NewReader()}
}

func (l *loader) load(path string) (*Config, error) {
	data, err := read(path)
	if err != nil {
		return nil, Problems{{File: path, Text: "cannot be read: " + err.Error()}}
	}
	return l.parse(path, data)
}

// read reads a file, or a pipe such as /dev/stdin, of bounded size.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		var p *fs.PathError
		if errors.As(err, &p) {
			err = p.Err
		}
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, strict.MaxBytes+1))
}

func (l *loader) parse(name string, data []byte) (*Config, error) {
	if l.last != nil && l.data == string(data) {
		return l.again()
	}
	at := strict.Parse(name, data)
	if !at.Exists() {
		return nil, at.Problems()
	}
	doc := document{Config: Default()}
	l.decoder.Decode(at, &doc)
	c := new(Config) // a pointer into doc would keep the whole file's tree alive
	*c = doc.Config
	c.Guards = guards(l.decoder, doc.Guards, l.Guards, c.Limits.JudgeTime)
	c.check(at)
	for _, key := range guideBlocks() {
		if block := at.Field(key); block.Exists() {
			l.Available.gate(block)
		}
	}
	c.checkTelemetry(at)
	c.resolve(filepath.Dir(name))
	own := l.servers.Own(doc.Servers)
	c.checkListeners(at)
	c.checkEgress(at)
	c.checkSPIFFE(at, c.Registry.Directory != "" || slices.ContainsFunc(own, func(d declare.Declared) bool { return isWorkload(d.Server) }))
	view, more := l.servers.View(own, c.Registry.Directory)
	more = append(more, c.checkServers(view)...)
	problems := at.Problems()
	if problems = append(problems[:len(problems):len(problems)], more...); len(problems) > 0 {
		return nil, problems.Sorted()
	}
	c.view, c.revision = view, revision(c, data)
	l.data, l.last, l.own = string(data), c, own
	return c, nil
}

// again gives the last good settings the servers of the directory as it is now.
func (l *loader) again() (*Config, error) {
	view, problems := l.servers.View(l.own, l.last.Registry.Directory)
	problems = append(problems, l.last.checkServers(view)...)
	if len(problems) > 0 {
		return nil, problems.Sorted()
	}
	next := *l.last
	next.view = view
	return &next, nil
}

// revision names settings by their values, so that comments and servers do not
// count.
func revision(c *Config, data []byte) string {
	if values, err := json.Marshal(c); err == nil { // a guard may have what JSON cannot say
		data = values
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// resolve makes relative paths begin at the configuration's own directory.
func (c *Config) resolve(dir string) {
	paths := []*string{&c.Registry.Directory, &c.Envoy.AccessLog, &c.Envoy.SystemCA, &c.Receipts.Path, &c.Receipts.Directory, &c.Receipts.Publish, &c.Receipts.Sealing.Keys, &c.Revoked.File, &c.Redis.TLS.CA, &c.Redis.TLS.Certificate, &c.Redis.TLS.Key,
		&c.Export.OTLP.CA, &c.Export.OTLP.Certificate, &c.Export.OTLP.Key}
	for i := range c.Listeners {
		t := &c.Listeners[i].TLS
		paths = append(paths, &t.Certificate, &t.Key, &t.ClientCA)
	}
	for i := range c.Egress.Listeners {
		t := &c.Egress.Listeners[i].TLS
		paths = append(paths, &t.Certificate, &t.Key, &t.ClientCA)
	}
	paths = append(paths, &c.SPIFFE.Files.Certificate, &c.SPIFFE.Files.Key)
	for i := range c.Sinks {
		paths = append(paths, c.Sinks[i].paths()...)
	}
	for i := range c.SPIFFE.Files.Bundles {
		b := &c.SPIFFE.Files.Bundles[i]
		paths = append(paths, &b.X509, &b.JWKS)
	}
	for _, p := range paths {
		if *p == "" || *p == "stdout" || filepath.IsAbs(*p) {
			continue
		}
		*p = filepath.Join(dir, *p)
		if abs, err := filepath.Abs(*p); err == nil {
			*p = abs
		}
	}
}

// check reports what no setting shows by itself.
func (c *Config) check(at strict.At) {
	c.checkStatements(at)
	c.checkAddresses(at)
	if p := at.Field("limits").Field("headers"); p.OK() && c.Limits.Headers%1024 != 0 {
		p.Report("must be whole KiB")
	}
	c.checkReceipts(at.Field("receipts"))
	c.checkSinks(at.Field("sinks"))
	c.checkRevoked(at.Field("revocations"))
}

// checkStatements demands that what is wide open is said out loud.
func (c *Config) checkStatements(at strict.At) {
	gateway := at.Field("gateway")
	absent := func(block, key string) (strict.At, bool) {
		b := gateway.Field(block)
		return b.Field(key), !gateway.Refused() && !b.Refused() && !b.Field(key).Exists()
	}
	if p, yes := absent("authentication", "method"); yes {
		p.Report(`is required: say how callers prove who they are; "none" serves whoever can connect and needs loopback listeners`)
	}
	if p, yes := absent("authorization", "policy_engine"); yes {
		p.Report(`is required: say what decides; "none" allows every registered tool`)
	}
}

func (c *Config) checkAddresses(at strict.At) {
	taken := make(map[string]string)
	claim := func(p strict.At, address string, port uint16) {
		if !p.OK() || port == 0 {
			return
		}
		if owner, ok := taken[address]; ok {
			p.Report("%s is already the address of %s", address, owner)
			return
		}
		taken[address] = p.Path()
	}
	for i, l := range c.Listeners {
		p := at.Field("listeners").Item(i).Field("address")
		claim(p, l.Address.String(), l.Address.Port())
	}
	for i, l := range c.Egress.Listeners {
		claim(at.Field("egress").Field("listeners").Item(i).Field("address"), l.Address.String(), l.Address.Port())
	}
	for _, s := range []struct {
		p strict.At
		a Service
	}{
		{at.Field("extproc").Field("address"), c.ExtProc},
		{at.Field("xds").Field("address"), c.XDS},
		{at.Field("admin").Field("address"), c.Admin.Service},
		{at.Field("envoy").Field("admin_address"), Service{c.Envoy.AdminAddress}},
	} {
		claim(s.p, s.a.Address.String(), s.a.Address.Port())
		if s.p.OK() && !s.a.Address.Loopback() {
			s.p.Report("%s is not a loopback address, and the service asks nobody who they are; write one such as 127.0.0.1:%d", s.a.Address, s.a.Address.Port())
		}
	}
}
