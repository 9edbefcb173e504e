package elastic

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/audit/deliver"
	"github.com/sallyport/sallyport/internal/remote"
)

// cluster is a double of the bulk interface: it has documents by id, refuses
// those with "poison", and is too busy for those with "busy".
type cluster struct {
	docs map[string]string
	auth string
	url  string
}

func start(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{docs: make(map[string]string)}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/_bulk" || r.Header.Get("Content-Type") != "application/x-ndjson" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		c.auth = r.Header.Get("Authorization")
		var items []string
		failed := false
		for s := bufio.NewScanner(r.Body); s.Scan(); {
			var action struct {
				Create struct {
					Index string `json:"_index"`
					ID    string `json:"_id"`
				}
			}
			if json.Unmarshal(s.Bytes(), &action) != nil || !s.Scan() {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			id, doc, status := action.Create.Index+"/"+action.Create.ID, s.Text(), 201
			switch _, there := c.docs[id]; {
			case there:
				status = 409
			case strings.Contains(doc, "poison"):
				status = 400
			case strings.Contains(doc, "busy"):
				status = 429
			default:
				c.docs[id] = doc
			}
			failed = failed || status != 201
			items = append(items, fmt.Sprintf(`{"create":{"_id":"x","status":%d,"error":{"type":"some","reason":"why"}}}`, status))
		}
		fmt.Fprintf(w, `{"took":1,"errors":%v,"items":[%s]}`, failed, strings.Join(items, ","))
	}))
	t.Cleanup(srv.Close)
	c.url = srv.URL
	return c
}

func items(texts ...string) (out []*deliver.Item) {
	for i, t := range texts {
		out = append(out, &deliver.Item{ID: fmt.Sprintf("r-%d", i), Time: time.Date(2026, 11, 26, 23, 59, 0, 0, time.UTC), Body: []byte(t)})
	}
	return out
}

func TestWhatComesAgainChangesNothingAndOneDocumentIsNoReasonToRefuseOthers(t *testing.T) {
	c := start(t)
	client, err := remote.New(remote.Options{URL: c.url, MaxReply: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{Client: client, Index: "receipts", APIKey: func() (string, error) { return "k1", nil }})
	defer s.Close()
	batch := items(`{"a":1}`, `{"a":"poison"}`, `{"a":"busy"}`, `{"a":2}`)
	for range 2 {
		out, err := s.Deliver(context.Background(), batch)
		if err != nil || len(out.Refused) != 1 || out.Refused[0].Index != 1 || len(out.Again) != 1 || out.Again[0] != 2 || out.Why == nil || !strings.Contains(out.Refused[0].Why, "why") {
			t.Errorf("%+v, %v", out, err)
		}
		if len(c.docs) != 2 || c.docs["receipts-2026.11.26/r-3"] != `{"a":2}` || c.auth != "ApiKey k1" {
			t.Errorf("%v, %q", c.docs, c.auth)
		}
	}
}

func TestRepliesThatSayTooLittleAreTriedAgain(t *testing.T) {
	for _, body := range []string{"", "{}", `{"items":[]}`, `{"items":[{"create":{"status":201}},{"create":{"status":201}}]}`} {
		if _, err := outcome([]byte(body), 1); err == nil {
			t.Errorf("%q is believed", body)
		}
	}
}
