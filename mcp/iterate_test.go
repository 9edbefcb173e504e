package mcp_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/mcp"
)

func TestElementsAndMembersComeInTheOrderOfTheText(t *testing.T) {
	for array, want := range map[string]string{
		`[]`:                               "",
		` [ 1 , "a,]" , {"b":[2]} ,[ ] ] `: `1|"a,]"|{"b":[2]}|[ ]`,
		`{"a":1}`:                          "",
		`null`:                             "",
		``:                                 "",
	} {
		var got []string
		for e := range mcp.Elements([]byte(array)) {
			got = append(got, string(e))
		}
		if strings.Join(got, "|") != want {
			t.Errorf("elements of %s: %q", array, got)
		}
	}
	for object, want := range map[string]string{
		`{}`:                                "",
		`{ "a" : 1 , "\u0062\"" : [ {} ] }`: `a=1|b"=[ {} ]`,
		`[1]`:                               "",
		``:                                  "",
	} {
		var got []string
		for k, v := range mcp.Members([]byte(object)) {
			got = append(got, k+"="+string(v))
		}
		if strings.Join(got, "|") != want {
			t.Errorf("members of %s: %q", object, got)
		}
	}
}
