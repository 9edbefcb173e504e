package names

import "testing"

func TestANameIsToldFromOtherCapitalisedWords(t *testing.T) {
	for s, want := range map[string]bool{
		"Margaret Smith":      true,
		"margaret SMITH":      true,
		"Anna M. de la Cruz":  true,
		"Margaret  Smith":     true, // two spaces
		"Anna-Maria Kowalska": true,
		"Anna-Tram Kowalska":  false,
		"Margaret":            false,
		"Margaret ":           false,
		" Margaret":           false,
		"Victoria Falls":      false,
		"Jordan Smith River":  false,
		"Depot North":         false,
		"Margaret Ångström":   true,
		"Margaret Extraordinarilylongsurnamethatnolistknows": true,
		"Extraordinarilylonggivenname Smith":                 false,
		"":                                                   false,
	} {
		if Person(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}

func BenchmarkPerson(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if !Person("Margaret Smith") || Person("Victoria Falls") {
			b.Fatal("it is another")
		}
	}
}
