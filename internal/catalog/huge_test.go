package catalog

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/guard/catalog"
	"github.com/sallyport/sallyport/internal/inspect/definition"
)

func TestAServerThatDefinesSomethingHugeDoesNotBringTheGatewayDown(t *testing.T) {
	b, err := Open("")
	if err != nil {
		t.Fatal(err)
	}
	raw := json.RawMessage(`{"name":"big","description":"` + strings.Repeat("a", maxDefinition) + `"}`)
	got, err := b.Under(catalog.Default()).See(t.Context(), "crm", []definition.Definition{{Kind: definition.Tool, Name: "big", Raw: raw}})
	if err != nil || len(got) != 1 || got[0].State != catalog.Held {
		t.Errorf("%+v %v", got, err)
	}
}
