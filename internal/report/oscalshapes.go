package report

// The shapes of OSCAL assessment results, as far as this report has something to
// say: https://pages.nist.gov/OSCAL-Reference/models/v1.2.3/assessment-results/json-reference/
type (
	oscal struct {
		Results assessment `json:"assessment-results"`
	}
	assessment struct {
		UUID       string     `json:"uuid"`
		Metadata   metadata   `json:"metadata"`
		ImportAP   href       `json:"import-ap"`
		Local      objectives `json:"local-definitions"`
		Results    []result   `json:"results"`
		BackMatter backMatter `json:"back-matter"`
	}
	metadata struct {
		Title        string `json:"title"`
		LastModified string `json:"last-modified"`
		Version      string `json:"version"`
		OSCALVersion string `json:"oscal-version"`
		Remarks      string `json:"remarks"`
	}
	href struct {
		Href    string `json:"href"`
		Remarks string `json:"remarks,omitempty"`
	}
	prop struct {
		Name  string `json:"name"`
		NS    string `json:"ns"`
		Value string `json:"value"`
	}
	objectives struct {
		Objectives []objective `json:"objectives-and-methods"`
	}
	objective struct {
		Control     string     `json:"control-id"`
		Description string     `json:"description"`
		Parts       []textPart `json:"parts"`
	}
	textPart struct {
		ID    string `json:"id"`
		Name  string `json:"name"`
		Prose string `json:"prose"`
	}
	result struct {
		UUID         string        `json:"uuid"`
		Title        string        `json:"title"`
		Description  string        `json:"description"`
		Start        string        `json:"start"`
		End          string        `json:"end,omitempty"`
		Props        []prop        `json:"props"`
		Local        assessed      `json:"local-definitions"`
		Reviewed     reviewed      `json:"reviewed-controls"`
		Observations []observation `json:"observations"`
		Findings     []finding     `json:"findings"`
		Remarks      string        `json:"remarks"`
	}
	assessed struct {
		Components []component `json:"components"`
		Assets     assets      `json:"assessment-assets"`
	}
	component struct {
		UUID        string         `json:"uuid"`
		Type        string         `json:"type"`
		Title       string         `json:"title"`
		Description string         `json:"description"`
		Props       []prop         `json:"props,omitempty"`
		Status      componentState `json:"status"`
	}
	componentState struct {
		State string `json:"state"`
	}
	assets struct {
		Components []component `json:"components"`
		Platforms  []platform  `json:"assessment-platforms"`
	}
	platform struct {
		UUID  string `json:"uuid"`
		Title string `json:"title"`
		Uses  []uses `json:"uses-components"`
	}
	uses struct {
		Component string `json:"component-uuid"`
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
		Types       []string   `json:"types"`
		Origins     []origin   `json:"origins"`
		Subjects    []subject  `json:"subjects"`
		Evidence    []evidence `json:"relevant-evidence,omitempty"`
		Collected   string     `json:"collected"`
	}
	origin struct {
		Actors []actor `json:"actors"`
	}
	actor struct {
		Type string `json:"type"`
		UUID string `json:"actor-uuid"`
	}
	subject struct {
		UUID string `json:"subject-uuid"`
		Type string `json:"type"`
	}
	evidence struct {
		Href        string `json:"href,omitempty"`
		Description string `json:"description"`
	}
	finding struct {
		UUID        string    `json:"uuid"`
		Title       string    `json:"title"`
		Description string    `json:"description"`
		Props       []prop    `json:"props"`
		Target      target    `json:"target"`
		Related     []related `json:"related-observations"`
		Remarks     string    `json:"remarks"`
	}
	target struct {
		Type   string `json:"type"`
		ID     string `json:"target-id"`
		Title  string `json:"title"`
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
		UUID        string     `json:"uuid"`
		Title       string     `json:"title"`
		Description string     `json:"description,omitempty"`
		RLinks      []href     `json:"rlinks,omitempty"`
		Base64      *base64One `json:"base64,omitempty"`
	}
	base64One struct {
		Filename  string `json:"filename"`
		MediaType string `json:"media-type"`
		Value     []byte `json:"value"`
	}
)
