package lines

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/eval/scores"
	"github.com/sallyport/sallyport/internal/inspect/recogniser"
)

// The bars are those of the project; `make eval` prints what is reached.
func TestTheDevelopmentDataIsFoundAndHarmlessTextIsNot(t *testing.T) {
	for _, c := range []struct {
		name    string
		class   recogniser.Class
		anyType bool
		f2      float64
		flagged float64
	}{
		{"pii", recogniser.PII, false, 0.95, 0.03},
		{"secrets", recogniser.Secret, true, 0.93, 0.02},
	} {
		d, err := NewContent(c.class)
		if err != nil {
			t.Fatal(err)
		}
		records, err := scores.Read(filepath.Join("../../../eval/testdata", c.name, c.name+"_dev.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		counts := make(map[string]*scores.Counts)
		flagged, harmless := 0, 0
		for i := range records {
			answer, err := d(records[i].Line)
			if err != nil {
				t.Fatal(err)
			}
			var found []scores.Span
			for _, f := range answer.(findings).Findings {
				found = append(found, scores.Span{Type: f.Type, Start: f.Start, End: f.End})
			}
			scores.Score(counts, records[i].Spans, found, c.anyType)
			if records[i].Class == "negative" {
				if harmless++; len(found) > 0 {
					flagged++
				}
			}
		}
		var all scores.Counts
		for typ, n := range counts {
			if typ != "PERSON" && typ != "LOCATION" {
				all.Hit, all.Missed, all.False = all.Hit+n.Hit, all.Missed+n.Missed, all.False+n.False
			}
		}
		if share := float64(flagged) / float64(harmless); all.F2() < c.f2 || share > c.flagged {
			t.Errorf("%s: F2 %.3f, %.1f %% of harmless texts flagged", c.name, all.F2(), 100*share)
		}
	}
}

func TestAnswersComeLineByLineWithOffsetsInTheWireText(t *testing.T) {
	d, err := NewContent(recogniser.PII)
	if err != nil {
		t.Fatal(err)
	}
	in := `{"id":"a","text":"mail anna@mail.example"}` + "\n\n" +
		`{"id":7,"channel":"mcp_result","text":"{\"result\":{\"m\":\"\\u0061nna@mail.example\"}}"}` + "\n" +
		`{"id":8,"channel":"sse","text":"event: message\ndata: {\"m\":\ndata: \"anna@mail.example\"}\n\n"}` + "\n" +
		`{"id":9,"text_b64":"bm90aGluZw=="}` + "\n"
	var out bytes.Buffer
	if err := Answer(strings.NewReader(in), &out, d); err != nil {
		t.Fatal(err)
	}
	var got []string
	inputs := strings.Split(strings.ReplaceAll(in, "\n\n", "\n"), "\n")
	for i, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		var r Record
		var a findings
		if err := json.Unmarshal([]byte(inputs[i]), &r); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatal(err)
		}
		said := string(a.ID)
		for _, f := range a.Findings {
			said += " " + f.Type + " " + string(r.content()[f.Start:f.End])
		}
		got = append(got, said)
	}
	want := []string{`"a" EMAIL_ADDRESS anna@mail.example`, `7 EMAIL_ADDRESS \u0061nna@mail.example`, `8 EMAIL_ADDRESS anna@mail.example`, `9`}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if err := Answer(strings.NewReader("not JSON\n"), &out, d); err == nil {
		t.Error("a line that is no JSON is answered")
	}
}
