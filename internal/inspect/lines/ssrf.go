package lines

import (
	"encoding/json"
	"net/netip"
	"strings"

	"github.com/sallyport/sallyport/internal/inspect/destination"
	"github.com/sallyport/sallyport/internal/inspect/wire"
	"github.com/sallyport/sallyport/mcp"
)

// URLRecord is one line about a destination.
type URLRecord struct {
	ID        json.RawMessage         `json:"id"`
	URL       string                  `json:"url"`
	Arg       json.RawMessage         `json:"arg"`
	DNS       map[string][]netip.Addr `json:"dns"`
	Redirects []string                `json:"redirects"`
}

type verdict struct {
	ID      json.RawMessage `json:"id,omitempty"`
	Verdict string          `json:"verdict"`
	Why     string          `json:"why,omitempty"`
}

// NewURL returns the detector for destinations under a policy; maxRedirects
// bounds how often a destination may send on.
func NewURL(p *destination.Policy, maxRedirects int) Detector {
	return func(line []byte) (any, error) {
		var r URLRecord
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, err
		}
		if why := r.judge(p, maxRedirects); why != "" {
			return verdict{r.ID, "deny", why}, nil
		}
		return verdict{r.ID, "allow", ""}, nil
	}
}

func (r *URLRecord) judge(p *destination.Policy, maxRedirects int) string {
	if len(r.Arg) > 0 && string(r.Arg) != "null" {
		return r.argument(p)
	}
	d, err := destination.Parse(r.URL)
	if err != nil {
		return err.Error()
	}
	if why := r.check(p, d); why != "" {
		return why
	}
	for i, location := range r.Redirects {
		if i == maxRedirects {
			return "too many redirects"
		}
		if d, err = destination.Follow(d, location); err != nil {
			return err.Error()
		}
		if why := r.check(p, d); why != "" {
			return why
		}
	}
	return ""
}

func (r *URLRecord) argument(p *destination.Policy) (why string) {
	var reader wire.Reader
	err := reader.EachText(r.Arg, func(t *wire.Text) {
		if t.Kind == mcp.LeafNumber {
			return
		}
		for _, m := range destination.Find(t.Value, t.Key) {
			switch {
			case why != "":
			case m.Err != nil:
				why = m.Err.Error()
			default:
				why = r.check(p, m.Destination)
			}
		}
	})
	if err != nil {
		return err.Error()
	}
	return why
}

func (r *URLRecord) check(p *destination.Policy, d destination.Destination) string {
	e, err := p.Check(d)
	if err != nil {
		return err.Error()
	}
	if e == nil || d.IP.IsValid() {
		return ""
	}
	found := r.DNS[d.Host]
	if len(found) == 0 {
		return d.Host + " does not resolve"
	}
	for _, a := range found {
		if !e.Admits(a) {
			return d.Host + " leads to " + a.String()
		}
	}
	return ""
}

// ReadPolicy reads a policy in the form of the test data.
func ReadPolicy(text []byte) (*destination.Policy, int, error) {
	var file struct {
		Schemes []string `json:"schemes"`
		Allow   []struct {
			Host    string `json:"host"`
			Ports   []int  `json:"ports"`
			Private bool   `json:"allow_private"`
		} `json:"allow"`
		MaxRedirects int `json:"max_redirects"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, 0, err
	}
	p := new(destination.Policy)
	for _, a := range file.Allow {
		p.Entries = append(p.Entries, destination.Entry{Host: strings.ToLower(a.Host), Ports: a.Ports, Schemes: file.Schemes, Private: a.Private})
	}
	return p, file.MaxRedirects, nil
}
