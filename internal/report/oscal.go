package report

import (
	"crypto/sha1" //nolint:gosec // UUID version 5 (RFC 9562, 5.5) is made with it, and nothing is protected by it
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// The shapes of OSCAL assessment results, as far as this report has something to
// say. docs/assessment-results.schema.json describes what comes out.
type (
	oscal struct {
		Results assessment `json:"assessment-results"`
	}
	assessment struct {
		UUID       string     `json:"uuid"`
		Metadata   metadata   `json:"metadata"`
		ImportAP   href       `json:"import-ap"`
		Results    []result   `json:"results"`
		BackMatter backMatter `json:"back-matter"`
	}
	metadata struct {
		Title        string `json:"title"`
		LastModified string `json:"last-modified"`
		Version      string `json:"version"`
		OSCALVersion string `json:"oscal-version"`
		Remarks      string `json:"remarks"`
		Props        []prop `json:"props,omitempty"`
	}
	href struct {
		Href    string `json:"href"`
		Remarks string `json:"remarks,omitempty"`
	}
	prop struct {
		Name  string `json:"name"`
		Value string `json:"value"`
		NS    string `json:"ns"`
	}
	result struct {
		UUID         string        `json:"uuid"`
		Title        string        `json:"title"`
		Description  string        `json:"description"`
		Start        string        `json:"start"`
		End          string        `json:"end,omitempty"`
		Props        []prop        `json:"props"`
		Reviewed     reviewed      `json:"reviewed-controls"`
		Observations []observation `json:"observations"`
		Findings     []finding     `json:"findings"`
		Remarks      string        `json:"remarks"`
	}
	reviewed struct {
		Selections []selection `json:"control-selections"`
	}
	selection struct {
		Include []controlID `json:"include-controls"`
	}
	controlID struct {
		ID string `json:"control-id"`
	}
	observation struct {
		UUID        string     `json:"uuid"`
		Title       string     `json:"title"`
		Description string     `json:"description"`
		Props       []prop     `json:"props"`
		Methods     []string   `json:"methods"`
		Collected   string     `json:"collected"`
		Evidence    []evidence `json:"relevant-evidence,omitempty"`
	}
	evidence struct {
		Href        string `json:"href,omitempty"`
		Description string `json:"description"`
	}
	finding struct {
		UUID        string    `json:"uuid"`
		Title       string    `json:"title"`
		Description string    `json:"description"`
		Target      target    `json:"target"`
		Related     []related `json:"related-observations"`
		Remarks     string    `json:"remarks"`
	}
	target struct {
		Type   string `json:"type"`
		ID     string `json:"target-id"`
		Status state  `json:"status"`
	}
	state struct {
		State  string `json:"state"`
		Reason string `json:"reason"`
	}
	related struct {
		UUID string `json:"observation-uuid"`
	}
	backMatter struct {
		Resources []resource `json:"resources"`
	}
	resource struct {
		UUID   string     `json:"uuid"`
		Title  string     `json:"title"`
		RLinks []href     `json:"rlinks,omitempty"`
		Base64 *base64One `json:"base64,omitempty"`
	}
	base64One struct {
		Filename  string `json:"filename"`
		MediaType string `json:"media-type"`
		Value     []byte `json:"value"`
	}
)

const ns = "https://sallyport.dev/ns/oscal"

// uuid makes the same name's UUID the same in one report, and another in each.
func (r *Report) uuid(name string) string {
	h := sha1.New() //nolint:gosec // see the import
	fmt.Fprintf(h, "%s\n%s\n%s\n%s", ns, r.ID, r.Now.UTC().Format(time.RFC3339Nano), name)
	b := h.Sum(nil)[:16]
	b[6], b[8] = b[6]&0x0f|0x50, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// token writes a control's id so that OSCAL takes it.
func (r *Report) token(id string) string {
	clean := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' {
			return c
		}
		return '-'
	}, id)
	return r.ID + "_" + strings.ReplaceAll(clean, ".-", "-")
}

// OSCAL writes the report in the shape of OSCAL assessment results, with the proofs
// of the receipts that it shows.
func (r *Report) OSCAL(w io.Writer) error {
	now := r.Now.UTC().Format(time.RFC3339)
	out := assessment{
		UUID:     r.uuid("report"),
		ImportAP: href{"#" + r.uuid("plan"), "There is no assessment plan: this is evidence for an assessment, collected by a gateway."},
		Metadata: metadata{Title: r.Title + ": evidence of an MCP gateway", LastModified: now, Version: r.Build, OSCALVersion: "1.1.3", Remarks: r.about()},
	}
	res := result{
		UUID: r.uuid("result"), Title: r.Text, Description: legend, Start: moment(first(r.Since, r.First, r.Now), now), End: moment(first(r.Until, r.Last), ""),
	}
	attested := "yes"
	if r.Unproved {
		attested, res.Remarks = "no", unproved+" "
	}
	res.Props = append(res.Props, prop{"attested", attested, ns})
	for _, f := range r.facts() {
		res.Remarks += f[0] + ": " + f[1] + ". "
	}
	for _, e := range r.Elsewhere {
		res.Remarks += "Not addressed: " + strings.Join(e.IDs, "; ") + ". " + e.Why + " "
	}
	out.BackMatter.Resources = append(out.BackMatter.Resources,
		resource{UUID: r.uuid("plan"), Title: "No assessment plan"},
		resource{UUID: r.uuid("text"), Title: r.Title, RLinks: []href{{Href: r.Source}}})
	proofs := map[string]bool{}
	for _, p := range r.Parts {
		o, err := r.observe(p, now, &out.BackMatter, proofs)
		if err != nil {
			return err
		}
		res.Observations = append(res.Observations, o)
	}
	var all selection
	for i := range r.Results {
		all.Include = append(all.Include, controlID{r.token(r.Results[i].ID)})
		res.Findings = append(res.Findings, r.find(&r.Results[i]))
	}
	res.Reviewed.Selections = []selection{all}
	out.Results = []result{res}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	return enc.Encode(oscal{out})
}

// observe puts the evidence of one topic into OSCAL.
func (r *Report) observe(p *Shown, now string, back *backMatter, proofs map[string]bool) (observation, error) {
	o := observation{UUID: r.uuid("topic " + p.Topic), Title: p.Topic, Description: p.Says(), Props: []prop{{"status", p.Status.String(), ns}}, Methods: []string{"EXAMINE"}, Collected: now}
	for i := range p.Config {
		c := &p.Config[i]
		o.Evidence = append(o.Evidence, evidence{Description: fmt.Sprintf("configuration %s says %s: %s", c.At, c.said(), c.verdict())})
	}
	for i := range p.Receipts {
		q := &p.Receipts[i]
		o.Evidence = append(o.Evidence, evidence{Description: fmt.Sprintf("%d receipts: %s", q.Count, q.What)})
		for j := range q.Samples {
			s := &q.Samples[j]
			one := evidence{Description: fmt.Sprintf("receipt %d of replica %s, hash %s", s.Seq, s.Replica, s.Hash)}
			if s.Proof != nil {
				name := s.name()
				id := r.uuid("proof " + name)
				one.Href = "#" + id
				if !proofs[name] {
					proofs[name] = true
					text, err := json.Marshal(s.Proof)
					if err != nil {
						return o, fmt.Errorf("report: oscal: %w", err)
					}
					back.Resources = append(back.Resources, resource{UUID: id, Title: "Proof of " + one.Description, Base64: &base64One{name, "application/json", text}})
				}
			}
			o.Evidence = append(o.Evidence, one)
		}
	}
	for _, t := range p.Tests {
		o.Evidence = append(o.Evidence, evidence{Description: "test " + t + " in the source of this gateway, named and not run by this report"})
	}
	for _, d := range p.Docs {
		o.Evidence = append(o.Evidence, evidence{Description: "documentation " + d})
	}
	return o, nil
}

// find puts a control into OSCAL. Its target is the gateway's part, so that
// "satisfied" never stands beside the control itself.
func (r *Report) find(c *Result) finding {
	f := finding{
		UUID: r.uuid("control " + c.ID), Title: c.ID + " " + c.Title, Description: c.Asks,
		Target:  target{"objective-id", r.token(c.ID) + "_gateway-part", state{"not-satisfied", "other"}},
		Remarks: "The gateway's part: " + c.Status.String() + ". Gaps: " + strings.Join(c.Gaps, " "),
	}
	if c.Status == Evidenced {
		f.Target.Status = state{"satisfied", "pass"}
	}
	for _, p := range c.Parts {
		f.Related = append(f.Related, related{r.uuid("topic " + p.Topic)})
	}
	return f
}

// name is the file name of a sample's proof.
func (s *Sample) name() string { return fmt.Sprintf("receipt-%s-%d.json", s.Replica, s.Seq) }

// Proofs calls f with the proof of every receipt that the report shows, once.
func (r *Report) Proofs(f func(name string, proof []byte) error) error {
	seen := map[string]bool{}
	for _, p := range r.Parts {
		for i := range p.Receipts {
			for j := range p.Receipts[i].Samples {
				s := &p.Receipts[i].Samples[j]
				if s.Proof == nil || seen[s.name()] {
					continue
				}
				seen[s.name()] = true
				text, err := json.Marshal(s.Proof)
				if err == nil {
					err = f(s.name(), append(text, '\n'))
				}
				if err != nil {
					return fmt.Errorf("report: proofs: %w", err)
				}
			}
		}
	}
	return nil
}

func first(times ...time.Time) time.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}
