package elastic

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/remote"
)

// guessing is a double of an index that takes the form of each member from the first
// document that has it, as dynamic mappings do, unless it was made with one.
func guessing(t *testing.T, mayMake bool) (url string, docs *int) {
	t.Helper()
	docs = new(int)
	forms, mapped, date := map[string]string{}, map[string]bool{}, regexp.MustCompile(`^\d{4}[-/]\d\d[-/]\d\d$`)
	detects := true
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			var m struct {
				Mappings struct {
					Dates      *bool `json:"date_detection"`
					Properties map[string]json.RawMessage
				}
			}
			if !mayMake {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			if json.NewDecoder(r.Body).Decode(&m) != nil || m.Mappings.Dates == nil {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			detects = *m.Mappings.Dates
			for name := range m.Mappings.Properties {
				mapped[name] = true
			}
			return
		}
		var items []string
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() { // what to do with a document; and then the document
			lines.Scan()
			var doc map[string]any
			_ = json.Unmarshal(lines.Bytes(), &doc)
			status := 201
			for name, value := range doc {
				form := fmt.Sprintf("%T", value)
				if text, ok := value.(string); ok && detects && date.MatchString(text) {
					form = "date"
				}
				switch {
				case mapped[name]:
				case forms[name] == "":
					forms[name] = form
				case forms[name] != form && forms[name] != "string": // a text takes everything
					status = 400
				}
			}
			if status == 201 {
				*docs++
			}
			items = append(items, fmt.Sprintf(`{"create":{"status":%d}}`, status))
		}
		fmt.Fprintf(w, `{"items":[%s]}`, strings.Join(items, ","))
	}))
	t.Cleanup(srv.Close)
	return srv.URL, docs
}

func TestNoCallerHasTheReceiptsOfOthersRefusedByWhatItChooses(t *testing.T) {
	batch := items(
		`{"name":"2026-11-26","id":7,"arguments":{"a":1}}`, // the first of the day
		`{"name":"transfer","id":"seven","arguments":"text"}`,
		`{"name":"search","id":1e99,"arguments":{"a":{"b":[]}}}`,
	)
	for mayMake, want := range map[bool]int{true: 3, false: 1} {
		url, docs := guessing(t, mayMake)
		client, err := remote.New(remote.Options{URL: url, MaxReply: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		s := New(Options{Client: client, Index: "receipts"})
		t.Cleanup(func() { _ = s.Close() })
		out, err := s.Deliver(context.Background(), batch)
		if err != nil || *docs != want || len(out.Refused) != len(batch)-want {
			t.Errorf("may make an index %v: %d documents, %+v, %v", mayMake, *docs, out, err)
		}
	}
}
