package report

import "testing"

// What is written as nothing is not in force, however it is written.
func TestWhatIsNothingIsNotSet(t *testing.T) {
	for name, c := range map[string]struct {
		value any
		want  string
		set   bool
	}{
		"no money":              {"$0", "$0", false},
		"no budget":             {"$0/", "$0/", false},
		"no budget a month":     {"$0.00/month", "$0.00/month", false},
		"no calls":              {"0/hour", "0/hour", false},
		"no time":               {"0 minutes", "0 minutes", false},
		"zero":                  {0, "0", false},
		"false":                 {false, "false", false},
		"an empty list":         {[]any{}, "", false},
		"a section of nothings": {map[string]any{"a": 0, "b": "0s"}, "", false},
		"half a dollar":         {"$0.50", "$0.50", true},
		"a rate":                {"10/hour", "10/hour", true},
		"an address":            {"0.0.0.0:80", "0.0.0.0:80", true},
		"a mode":                {"enforce", "enforce", true},
	} {
		if got, set := (Settings{"at": c.value}).Value("at"); got != c.want || set != c.set {
			t.Errorf("%s is %q, %v", name, got, set)
		}
	}
}

func TestEveryEntryOfAListHasToHaveWhatAPointerAsksFor(t *testing.T) {
	with, without := map[string]any{"tls": map[string]any{"certificate": "c.pem"}}, map[string]any{"address": "x"}
	for name, c := range map[string]struct {
		list []any
		want string
		set  bool
	}{
		"all":      {[]any{with, with}, "c.pem", true},
		"some":     {[]any{without, with}, "1 of 2", false},
		"none":     {[]any{without}, "0 of 1", false},
		"no entry": {nil, "", false},
	} {
		if got, set := (Settings{"listeners": c.list}).Value("listeners[].tls.certificate"); got != c.want || set != c.set {
			t.Errorf("%s: %q, %v", name, got, set)
		}
	}
}

func TestSwitchedOffIsNotInForce(t *testing.T) {
	topics, err := Topics()
	if err != nil {
		t.Fatal(err)
	}
	boundary := map[string]any{"approval_required": []any{"none"}, "human_in_loop": []any{"none"}}
	r := &Report{Options: Options{Configuration: Configuration{Settings: Settings{"autonomy_controls": map[string]any{"boundary_controls": boundary}, "cost_controls": map[string]any{"budgets": map[string]any{"per_tool_call": "$0", "per_agent_session": "$0", "per_project": "$0/"}}}}}}
	for _, topic := range []string{"oversight", "budgets"} {
		p := r.ask(topics[topic])
		if p.conclude(false); p.Status != NotConfigured {
			t.Errorf("%s is %s: %+v", topic, p.Status, p.Config)
		}
	}
}

func TestASentenceThatACommaCutInTwoDoesNotLoad(t *testing.T) {
	f, err := Load("cosai")
	if err != nil {
		t.Fatal(err)
	}
	f.Controls[0].Gaps = []string{"Transports that do not pass the gateway", "such as stdio."}
	if f.validate() == nil {
		t.Error("it loads")
	}
}
