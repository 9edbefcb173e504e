package report

import (
	"crypto/sha1" //nolint:gosec // UUID version 5 (RFC 9562, 5.5) is made with it, and nothing is protected by it
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// OSCALVersion is the version of the OSCAL models that OSCAL writes.
const OSCALVersion = "1.2.3"

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

// objective is the id of the gateway's part of a control, which is what findings are about.
func (r *Report) objective(id string) string { return r.token(id) + "_gateway-part" }

// OSCAL writes the report as OSCAL assessment results, with the proofs of the
// receipts that it shows.
func (r *Report) OSCAL(w io.Writer) error {
	now := r.Now.UTC().Format(time.RFC3339)
	out := assessment{
		UUID:     r.uuid("report"),
		ImportAP: href{"#" + r.uuid("plan"), noPlan},
		Metadata: metadata{Title: r.Title + ": evidence of an MCP gateway", LastModified: now, Version: r.Build, OSCALVersion: OSCALVersion, Remarks: r.about()},
	}
	out.BackMatter.Resources = append(out.BackMatter.Resources,
		resource{UUID: r.uuid("plan"), Title: "No assessment plan", Description: noPlan},
		resource{UUID: r.uuid("text"), Title: r.Title, Description: r.Text, RLinks: []href{{Href: r.Source}}})
	res := r.result(now)
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
		c := &r.Results[i]
		all.Include = append(all.Include, controlID{r.token(c.ID)})
		out.Local.Objectives = append(out.Local.Objectives, r.define(c))
		res.Findings = append(res.Findings, r.find(c))
	}
	res.Reviewed.Selections = []selection{all}
	out.Results = []result{res}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	return enc.Encode(oscal{out})
}

const noPlan = "There is no assessment plan: this is evidence for an assessment, collected by a gateway."

// result says what was looked at, when, and by whom.
func (r *Report) result(now string) result {
	res := result{
		UUID: r.uuid("result"), Title: r.Text, Description: legend, Start: moment(first(r.Since, r.First, r.Now), now), End: moment(first(r.Until, r.Last), ""),
	}
	attested := "yes"
	if r.Unproved {
		attested, res.Remarks = "no", unproved+" "
	}
	res.Props = append(res.Props, prop{"attested", ns, attested})
	for _, f := range r.facts() {
		res.Remarks += f[0] + ": " + f[1] + ". "
	}
	for _, e := range r.Elsewhere {
		res.Remarks += "Not addressed: " + strings.Join(e.IDs, "; ") + ". " + e.Why + " "
	}
	gateway := component{UUID: r.uuid("gateway"), Type: "software", Title: "Sallyport, an MCP gateway", Status: componentState{"operational"},
		Description: "The gateway whose receipts and configuration were read."}
	if r.Revision != "" {
		gateway.Props = append(gateway.Props, prop{"configuration-revision", ns, r.Revision})
	}
	tool := component{UUID: r.uuid("tool"), Type: "software", Title: "sallyport audit report " + r.Build, Status: componentState{"operational"},
		Description: "The gateway's own program, which made this report: it reads a configuration and verified receipts, and asks nobody."}
	res.Local.Components = []component{gateway}
	res.Local.Assets = assets{[]component{tool}, []platform{{r.uuid("platform"), "Where this report was made", []uses{{tool.UUID}}}}}
	return res
}

// define says what the gateway's part of a control is, so that what is found about
// it cannot be read as said of the control.
func (r *Report) define(c *Result) objective {
	prose := "The gateway's part of " + c.ID + ", and no more than that: the gateway is configured as the observations say, and receipts of the period show it."
	for _, p := range c.Parts {
		prose += " " + p.Topic + ": " + p.Gives
	}
	return objective{r.token(c.ID), c.Title + ". " + c.Asks, []textPart{{r.objective(c.ID), "assessment-objective", prose}}}
}

// observe puts the evidence of one topic into OSCAL.
func (r *Report) observe(p *Shown, now string, back *backMatter, proofs map[string]bool) (observation, error) {
	o := observation{
		UUID: r.uuid("topic " + p.Topic), Title: p.Topic, Description: p.Says(), Props: []prop{{"status", ns, p.Status.String()}},
		Methods: []string{"EXAMINE"}, Types: []string{"control-objective"}, Collected: now,
		Origins: []origin{{[]actor{{"tool", r.uuid("tool")}}}}, Subjects: []subject{{r.uuid("gateway"), "component"}},
	}
	for i := range p.Config {
		c := &p.Config[i]
		o.Evidence = append(o.Evidence, evidence{Description: fmt.Sprintf("configuration %s says %s: %s", c.At, c.said(), c.verdict())})
	}
	for i := range p.Receipts {
		q := &p.Receipts[i]
		o.Evidence = append(o.Evidence, evidence{Description: fmt.Sprintf("%s receipts: %s", q.number(), q.What)})
		for j := range q.Samples {
			s := q.Samples[j]
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
					back.Resources = append(back.Resources, resource{UUID: id, Title: "Proof of " + one.Description, Description: howToCheck, Base64: &base64One{name, "application/json", text}})
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
		UUID: r.uuid("control " + c.ID), Title: "The gateway's part of " + c.ID + " " + c.Title, Description: c.Asks,
		Props:   []prop{{"status", ns, c.Status.String()}},
		Target:  target{"objective-id", r.objective(c.ID), "The gateway's part of " + c.ID, c.state()},
		Remarks: "The gateway's part: " + c.Status.String() + ". This says nothing of the control as a whole. Gaps: " + strings.Join(c.Gaps, " "),
	}
	for _, g := range c.Gaps {
		f.Props = append(f.Props, prop{"gap", ns, g})
	}
	for _, p := range c.Parts {
		f.Related = append(f.Related, related{r.uuid("topic " + p.Topic)})
	}
	return f
}

// state is a status in OSCAL's words.
func (c *Result) state() state {
	switch c.Status {
	case Evidenced:
		return state{"satisfied", "pass"}
	case Partly, NotConfigured:
		return state{"not-satisfied", "fail"}
	}
	return state{"not-satisfied", "other"} // configured, input or unproved: nothing shows that it is, nor that it is not
}

func first(times ...time.Time) time.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}
