package opa

import (
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sallyport/sallyport/policies"
)

// The schema that policy authors are given says of a document what the engine
// says of it. The form of labels it tells too; there the chain is who refuses.
func TestTheSchemaOfDecisionsSaysWhatIsTaken(t *testing.T) {
	schema, err := policies.DecisionSchema()
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("decision.json", schema); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("decision.json")
	if err != nil {
		t.Fatal(err)
	}
	for text, good := range map[string]bool{
		`{"allow":true}`: true,
		`{"allow":false,"reason":"insufficient_scope","detail":"d","hint":"h","challenge":{"scopes":["a"],"max_age":60,"acr":["mfa"]}}`: true,
		`{"allow":false,"reason":"tool_not_allowed"}`:          true,
		`{"allow":false,"reason":"server_not_allowed"}`:        true,
		`{"allow":false,"reason":"policy_denied"}`:             true,
		`{"allow":false,"reason":"argument_not_allowed"}`:      true,
		`{"allow":false,"reason":"approval_required"}`:         true,
		`{"allow":false,"reason":"reauthentication_required"}`: true,
		`{"allow":false,"reason":"read_only"}`:                 true,
		`{"allow":true,"obligations":{"labels":["pii"],"approval":"why","set":[{"path":"/a","value":1}],"clamp":[{"path":"/n","min":1,"max":2,"default":1}],"mask":[{"path":"/*/x","with":""}],"cap":[{"path":"/rows","items":3}],"constrain":{"rows":1}}}`: true,
		`{"reason":"policy_denied"}`:     false,
		`{"allow":"yes"}`:                false,
		`true`:                           false,
		`{"allow":true,"obligation":{}}`: false,
		`{"allow":true,"obligations":{"notify":"me"}}`:                    false,
		`{"allow":false,"reason":"because"}`:                              false,
		`{"allow":false,"reason":"unknown_target"}`:                       false,
		`{"allow":true,"obligations":{"set":[{"path":"a","value":1}]}}`:   false,
		`{"allow":true,"obligations":{"set":[{"path":"/a"}]}}`:            false,
		`{"allow":true,"obligations":{"cap":[{"path":"/a","items":-1}]}}`: false,
		`{"allow":true,"obligations":{"approval":""}}`:                    false,
	} {
		v, err := ast.ValueFromReader(strings.NewReader(text))
		if err != nil {
			t.Fatal(text, err)
		}
		_, taken := decision(v)
		valid := s.Validate(decodedNumbers(t, []byte(text)))
		if (taken == nil) != good || (valid == nil) != good {
			t.Errorf("%s: the engine says %v, the schema %v", text, taken, valid)
		}
	}
}
