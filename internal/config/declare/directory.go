package declare

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/config/strict"
	"github.com/sallyport/sallyport/internal/registry"
)

// Reader turns declarations into views. It keeps what it read from a file for
// as long as the file does not change, so that one edit among thousands of
// files costs one parse. One goroutine at a time may use it.
type Reader struct {
	decoder *strict.Decoder
	files   map[string]parsed
}

type parsed struct {
	content string
	servers []Declared
}

// NewReader returns a reader.
func NewReader() *Reader {
	return &Reader{decoder: strict.NewDecoder(), files: make(map[string]parsed)}
}

// Own builds servers that were decoded elsewhere; those with a problem are left
// out. What is found wrong with the others is reported at their places.
func (r *Reader) Own(servers []Server) []Declared { return build(servers, newPEMFiles()) }

// View returns the view of own and of the servers in the files of directory (""
// for none), or every problem.
func (r *Reader) View(own []Declared, directory string) (*registry.View, strict.Problems) {
	all := slices.Clone(own)
	var problems strict.Problems
	if directory != "" {
		more, wrong := r.directory(directory, newPEMFiles())
		all, problems = append(all, more...), wrong
	}
	problems = append(problems, unique(all)...)
	if len(problems) > 0 {
		return nil, problems
	}
	servers := make([]registry.Server, len(all))
	for i := range all {
		servers[i] = all[i].Server
	}
	return registry.NewView(servers), nil
}

// build builds the servers whose declarations are sound.
func build(servers []Server, pems *pemFiles) []Declared {
	out := make([]Declared, 0, len(servers))
	for i := range servers {
		if s := &servers[i]; s.At.OK() {
			out = append(out, s.build(pems))
		}
	}
	return out
}

// files returns the paths of the files in directory that declare servers,
// sorted: names that end in .yaml or .yml and do not begin with a dot, which
// leaves out what editors and ConfigMap updates put beside them.
func files(directory string) ([]string, error) {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, e := range entries {
		name := e.Name()
		if ext := filepath.Ext(name); strings.HasPrefix(name, ".") || ext != ".yaml" && ext != ".yml" {
			continue
		}
		path := filepath.Join(directory, name)
		if info, err := os.Stat(path); err == nil && info.IsDir() { // through symbolic links
			continue
		}
		paths = append(paths, path)
	}
	return paths, nil
}

func (r *Reader) directory(path string, pems *pemFiles) (all []Declared, problems strict.Problems) {
	paths, err := files(path)
	if err != nil {
		return nil, strict.Problems{{File: path, Text: "the registry directory cannot be read: " + reason(err)}}
	}
	kept := make(map[string]parsed, len(paths))
	for _, p := range paths {
		data, err := readFile(p)
		if err != nil {
			problems = append(problems, strict.Problem{File: p, Text: "cannot be read: " + reason(err)})
			continue
		}
		if have, ok := r.files[p]; ok && have.content == string(data) {
			kept[p], all = have, append(all, have.servers...)
			continue
		}
		found, wrong := r.file(p, data, pems)
		all, problems = append(all, found...), append(problems, wrong...)
		if len(wrong) == 0 {
			kept[p] = parsed{string(data), found}
		}
	}
	r.files = kept
	return all, problems
}

// file reads one server, or a list of them under servers.
func (r *Reader) file(path string, data []byte, pems *pemFiles) ([]Declared, strict.Problems) {
	at := strict.Parse(path, data)
	var servers []Server
	switch {
	case !at.Exists(): // reported
	case !at.IsMapping():
		at.Report("must hold the settings of one server, or a list of servers under servers")
	case at.Field("servers").Exists():
		var list struct {
			Servers []Server `yaml:"servers"`
		}
		r.decoder.Decode(at, &list)
		servers = list.Servers
	default:
		servers = make([]Server, 1)
		servers[0].Default()
		r.decoder.Decode(at, &servers[0])
	}
	out := build(servers, pems)
	return out, at.Problems()
}

// readFile reads a configuration file of sensible size.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular(): // reading a pipe would wait for ever
		return nil, errors.New("is not a regular file")
	case info.Size() > strict.MaxBytes:
		return nil, errors.New("is too large")
	}
	return os.ReadFile(path)
}

// reason is the part of a file error that does not repeat the path.
func reason(err error) string {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
