package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sallyport/sallyport/guard/schema"
)

func compiled(t testing.TB, s string) *Compiled {
	t.Helper()
	c, err := compile(json.RawMessage(s))
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return c
}

const person = `{"type":"object","required":["name"],"properties":{
	"name":{"type":"string","minLength":1,"maxLength":20,"pattern":"^[a-z]+$"},
	"age":{"type":"integer","minimum":0,"maximum":150},
	"tags":{"type":"array","items":{"enum":["a","b"]},"uniqueItems":true,"maxItems":3},
	"home":{"$ref":"#/$defs/address"}},
	"$defs":{"address":{"type":"object","properties":{"a/b":{"const":1}},"additionalProperties":false}}}`

func TestWhatFailsIsNamedAndNotWhatWasSent(t *testing.T) {
	for value, want := range map[string]schema.Report{
		`{"name":"ada","age":3e1,"tags":["a","b"],"home":{"a/b":1.0}}`: {},
		`{}`:                                         {Keyword: "required", Name: "name"},
		`[]`:                                         {Keyword: "type"},
		`null`:                                       {Keyword: "type"},
		`{"name":"S3CRET"}`:                          {Keyword: "pattern", Path: "/name"},
		`{"name":"ada","age":151}`:                   {Keyword: "maximum", Path: "/age"},
		`{"name":"ada","age":1.5}`:                   {Keyword: "type", Path: "/age"},
		`{"name":"ada","age":1e999999999}`:           {Keyword: "type", Path: "/age"},
		`{"name":"ada","tags":["a","S3CRET"]}`:       {Keyword: "enum", Path: "/tags/1"},
		`{"name":"ada","tags":["a","a"]}`:            {Keyword: "uniqueItems", Path: "/tags"},
		`{"name":"ada","home":{"S3CRET":1}}`:         {Keyword: "additionalProperties", Path: "/home"},
		`{"name":"ada","home":{"a/b":2}}`:            {Keyword: "const", Path: "/home/a~1b"},
		`{"name":"\u00e4"}`:                          {Keyword: "pattern", Path: "/name"},
		`{"name":"","age":-1}`:                       {Keyword: "minimum", Path: "/age"},
		`{"name":"` + strings.Repeat("a", 21) + `"}`: {Keyword: "maxLength", Path: "/name"},
	} {
		if got := compiled(t, person).Check(json.RawMessage(value), false); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", value, got, want)
		}
	}
	got := compiled(t, `{"additionalProperties":{"type":"integer"}}`).Check(json.RawMessage(`{"S3CRET":"x"}`), false)
	if got.Path != "/*" {
		t.Errorf("a key that the schema does not name is repeated: %+v", got)
	}
}

func TestPropertiesThatNoSchemaNames(t *testing.T) {
	for _, c := range []struct{ schema, value, want string }{
		{`{"properties":{"a":{}}}`, `{"a":1,"b":2,"c/d":3}`, "/b /c~1d"},
		{`{"properties":{}}`, `{"a":1}`, "/a"},
		{`{"type":"object"}`, `{"a":1}`, ""},
		{`{"properties":{"a":{}},"additionalProperties":true}`, `{"b":1}`, ""},
		{`{"properties":{"a":{}},"patternProperties":{"^x-":{}}}`, `{"x-1":1,"y":1}`, "/y"},
		{`{"properties":{"a":{"properties":{"b":{}}}}}`, `{"a":{"b":1,"c":2}}`, "/a/c"},
		{`{"properties":{"l":{"items":{"properties":{"b":{}}}}}}`, `{"l":[{"b":1},{"c":2}]}`, "/l/1/c"},
		{`{"allOf":[{"properties":{"a":{}}},{"properties":{"b":{}}}]}`, `{"a":1,"b":2,"c":3}`, "/c"},
		{`{"allOf":[{"properties":{"o":{"properties":{"a":{}}}}},{"properties":{"o":{"properties":{"b":{}}}}}]}`, `{"o":{"a":1,"b":2,"c":3}}`, "/o/c"},
		{`{"anyOf":[{"properties":{"k":{"const":1},"a":{}}},{"properties":{"k":{"const":2},"b":{}}}]}`, `{"k":2,"b":2,"a":3}`, "/a"},
		{`{"not":{"properties":{"a":false},"required":["a"]}}`, `{"a":1}`, ""},
		{`{"$ref":"#/$defs/x","$defs":{"x":{"properties":{"a":{}}}}}`, `{"a":1,"b":1}`, "/b"},
	} {
		var got []string
		r := compiled(t, c.schema).Check(json.RawMessage(c.value), true)
		for _, p := range r.Unknown {
			got = append(got, p.Pointer)
		}
		if strings.Join(got, " ") != c.want || r.Keyword != "" {
			t.Errorf("%s with %s: %v %+v, want %s", c.schema, c.value, got, r, c.want)
		}
	}
}

func doubling(n int) string {
	var b strings.Builder
	b.WriteString(`{"$ref":"#/$defs/0","$defs":{`)
	for i := range n {
		fmt.Fprintf(&b, `"%d":{"allOf":[{"$ref":"#/$defs/%d"},{"$ref":"#/$defs/%d"}]},`, i, i+1, i+1)
	}
	fmt.Fprintf(&b, `"%d":{"type":"object"}}}`, n)
	return b.String()
}

func TestServersCannotMakeTheGatewayWork(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 60) + `{}` + strings.Repeat("}", 60)
	for name, c := range map[string]struct{ schema, value string }{
		"references that double":      {doubling(60), `{}`},
		"a circle":                    {`{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}}`, `{}`},
		"recursion that doubles":      {`{"allOf":[{"properties":{"a":{"$ref":"#"}}},{"properties":{"a":{"$ref":"#"}}}]}`, deep},
		"not that doubles":            {`{"anyOf":[{"not":{"properties":{"a":{"$ref":"#"}}}},{"properties":{"a":{"$ref":"#"}}}],"oneOf":[{"properties":{"a":{"$ref":"#"}}}]}`, deep},
		"a dear pattern":              {`{"pattern":"^(([a-z]?){30}){30}$"}`, `"` + strings.Repeat("a", 1<<20) + `"`},
		"many dear patterns":          {`{"patternProperties":{"(a|b|c){200}d":{},"(a|b|c){200}e":{}}}`, `{"` + strings.Repeat("a", 1<<18) + `":1}`},
		"an enumeration of long ones": {`{"items":{"not":{"enum":[` + strings.Repeat(`1,`, 10000) + `2]}}}`, `[` + strings.Repeat(`3,`, 10000) + `3]`},
	} {
		if got := compiled(t, c.schema).Check(json.RawMessage(c.value), true); got.Keyword != schema.TooCostly {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestSchemasThatAreUnusable(t *testing.T) {
	var many strings.Builder
	for i := range 600 {
		fmt.Fprintf(&many, `,{"pattern":"a%d"}`, i)
	}
	for name, s := range map[string]string{
		"a reference to a network":   `{"$ref":"https://evil.example/s.json"}`,
		"a reference to a file":      `{"$ref":"file:///etc/passwd"}`,
		"a dialect from a network":   `{"$schema":"https://evil.example/s.json"}`,
		"a reference to nothing":     `{"$ref":"#/$defs/x"}`,
		"look-ahead":                 `{"pattern":"^(?!x)"}`,
		"a pattern too large":        `{"pattern":"((a{100}){10}){10}"}`,
		"patterns too many":          `{"anyOf":[{}` + many.String() + `]}`,
		"a number with many digits":  `{"minimum":1e999999999}`,
		"too deep":                   strings.Repeat(`{"not":`, 70) + `{}` + strings.Repeat("}", 70),
		"too large":                  `{"description":"` + strings.Repeat("x", maxBytes) + `"}`,
		"no schema":                  `{"type":"strange"}`,
		"a list":                     `[]`,
		"no list of required":        `{"required":"a"}`,
		"dynamic between identities": `{"$dynamicRef":"#x","$defs":{"a":{"$id":"urn:a","$dynamicAnchor":"x"},"b":{"$dynamicAnchor":"x"}}}`,
	} {
		if _, err := compile(json.RawMessage(s)); err == nil {
			t.Errorf("%s is usable", name)
		} else if len(err.Error()) > 400 {
			t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
		}
	}
}

// against is what schemas and values are tried with, against the library's own
// judgement.
var against = []struct {
	schema string
	values []string
}{
	{person, []string{`{"name":"ada"}`, `{"name":"ada","age":1.0}`, `{"age":1}`, `{"name":"ada","home":{"a/b":1}}`, `{"name":"ada","home":{"c":1}}`}},
	{`{"prefixItems":[{"type":"integer"}],"items":{"type":"string"},"contains":{"const":"x"},"maxContains":1}`, []string{`[1,"x"]`, `[1,"x","x"]`, `["x"]`, `[1]`, `[1,2]`, `{}`}},
	{`{"$schema":"http://json-schema.org/draft-07/schema#","items":[{"type":"integer"}],"additionalItems":{"type":"string"},"dependencies":{"a":["b"],"c":{"required":["d"]}}}`, []string{`[1,"x"]`, `[1,2]`, `{"a":1}`, `{"a":1,"b":1}`, `{"c":1}`, `{"c":1,"d":1}`}},
	{`{"$schema":"http://json-schema.org/draft-04/schema#","minimum":3,"exclusiveMinimum":true}`, []string{`3`, `4`, `2`}},
	{`{"$schema":"https://json-schema.org/draft/2019-09/schema","properties":{"kids":{"items":{"$recursiveRef":"#"}},"n":{"type":"integer"}},"unevaluatedProperties":false}`, []string{`{"n":1,"kids":[{"n":2}]}`, `{"kids":[{"n":"x"}]}`, `{"kids":[{"z":1}]}`, `{"z":1}`}},
	{`{"allOf":[{"properties":{"a":{}}}],"anyOf":[{"properties":{"b":{"const":1}},"required":["b"]},true],"unevaluatedProperties":{"type":"string"}}`, []string{`{"a":1,"b":1}`, `{"b":2}`, `{"c":"x"}`, `{"c":1}`}},
	{`{"allOf":[{"properties":{"a":{}}},{"unevaluatedProperties":false}]}`, []string{`{"a":1}`, `{}`}},
	{`{"not":{"unevaluatedProperties":false}}`, []string{`{"a":1}`, `{}`}},
	{`{"prefixItems":[true],"contains":{"type":"string"},"unevaluatedItems":false}`, []string{`[1,"x"]`, `[1,"x",2]`, `["x"]`, `[1]`}},
	{`{"if":{"properties":{"k":{"const":1}},"required":["k"]},"then":{"required":["a"]},"else":{"required":["b"]},"unevaluatedProperties":false}`, []string{`{"k":1,"a":1}`, `{"k":1}`, `{"b":1}`, `{"k":2}`}},
	{`{"oneOf":[{"type":"integer"},{"minimum":2}]}`, []string{`1`, `1.5`, `2.5`, `3`, `"x"`}},
	{`{"propertyNames":{"maxLength":2},"minProperties":1,"maxProperties":2}`, []string{`{}`, `{"ab":1}`, `{"abc":1}`, `{"a":1,"b":1,"c":1}`}},
	{`{"patternProperties":{"^a":{"type":"integer"}},"additionalProperties":{"type":"string"}}`, []string{`{"a1":1,"b":"x"}`, `{"a1":"x"}`, `{"b":1}`}},
	{`{"dependentRequired":{"a":["b"]},"dependentSchemas":{"c":{"properties":{"d":{"const":1}},"required":["d"]}},"unevaluatedProperties":{"const":0}}`, []string{`{"a":0}`, `{"a":0,"b":0}`, `{"c":0,"d":1}`, `{"c":0,"d":2}`}},
	{`{"multipleOf":0.1,"exclusiveMaximum":5}`, []string{`0.3`, `0.35`, `5`, `4.9`, `1e-1`}},
	{`{"enum":[{"a":[1,2.0]},null,"x"]}`, []string{`{"a":[1.0,2]}`, `null`, `"x"`, `{"a":[2,1]}`, `false`}},
	{`{"$dynamicRef":"#n","$defs":{"t":{"$dynamicAnchor":"n","type":["integer","null"]}}}`, []string{`1`, `null`, `"x"`}},
	{`{"contains":{"type":"integer"},"minContains":0,"uniqueItems":true}`, []string{`[]`, `["a"]`, `[{"a":1,"b":2},{"b":2,"a":1.0}]`, `["1",1]`}},
	{`false`, []string{`1`}}, {`true`, []string{`1`}},
	{`{"$schema":"http://json-schema.org/draft-07/schema#","$ref":"#/definitions/a","type":"string","definitions":{"a":{"type":"integer"}}}`, []string{`1`, `"x"`}},
}

func library(s, v string) (valid, usable bool) {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(s))
	if err != nil {
		return false, false
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(nowhere{})
	if err := c.AddResource("urn:x", doc); err != nil {
		return false, false
	}
	sch, err := c.Compile("urn:x")
	if err != nil {
		return false, false
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(v)))
	if err != nil {
		return false, false
	}
	return sch.Validate(value) == nil, true
}

func TestTheAnswerIsTheLibrarys(t *testing.T) {
	for _, c := range against {
		for _, v := range c.values {
			for _, unknown := range []bool{false, true} {
				want, usable := library(c.schema, v)
				if got := compiled(t, c.schema).Check(json.RawMessage(v), unknown); !usable || (got.Keyword == "") != want {
					t.Errorf("%s with %s: %+v, the library says %v", c.schema, v, got, want)
				}
			}
		}
	}
}

func FuzzSchemaAndValue(f *testing.F) {
	for _, c := range against {
		for _, v := range c.values {
			f.Add(c.schema, v)
		}
	}
	f.Add(doubling(20), `{}`)
	f.Fuzz(func(t *testing.T, s, v string) {
		if !json.Valid([]byte(s)) || !json.Valid([]byte(v)) {
			return // the gateway's decoder lets nothing else through
		}
		own, ok := decode([]byte(v))
		d := json.NewDecoder(strings.NewReader(v))
		d.UseNumber()
		var standard any
		if err := d.Decode(&standard); ok && (err != nil || !reflect.DeepEqual(own, standard)) {
			t.Errorf("%s is read as %#v, and elsewhere as %#v, %v", v, own, standard, err)
		}
		c, err := compile(json.RawMessage(s))
		if err != nil {
			return
		}
		a, b := c.Check(json.RawMessage(v), false), c.Check(json.RawMessage(v), true)
		if (a.Keyword == "") != (b.Keyword == "") && a.Keyword != schema.TooCostly && b.Keyword != schema.TooCostly {
			t.Errorf("looking for unknown properties changes the answer: %+v, %+v", a, b)
		}
		if again := c.Check(json.RawMessage(v), true); !reflect.DeepEqual(again, b) {
			t.Errorf("another answer: %+v, %+v", b, again)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	value := json.RawMessage(`{"name":"ada","age":36,"tags":["a","b"],"home":{"a/b":1}}`)
	long := json.RawMessage(`{"title":"Quarterly report for the northern region","body":"` + strings.Repeat("lorem ipsum ", 8) + `","to":"ada@example.com","urgent":true,"n":12}`)
	letter := `{"type":"object","required":["title","to"],"properties":{"title":{"type":"string","maxLength":200},"body":{"type":"string"},"to":{"type":"string","pattern":"^[^@]+@[^@]+$"},"urgent":{"type":"boolean"},"n":{"type":"integer","minimum":1}},"additionalProperties":false}`
	for _, c := range []struct {
		name, schema string
		value        json.RawMessage
		unknown      bool
	}{{"person", person, value, false}, {"letter of 200 B", letter, long, false}, {"letter, unknown refused", letter, long, true}} {
		s := compiled(b, c.schema)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if r := s.Check(c.value, c.unknown); r.Keyword != "" {
					b.Fatal(r)
				}
			}
		})
	}
}

func BenchmarkTooCostly(b *testing.B) {
	s := compiled(b, doubling(60))
	for b.Loop() {
		s.Check(json.RawMessage(`{}`), false)
	}
}
