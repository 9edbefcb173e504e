package recogniser

import "testing"

func TestTheShippedRecognisersPassTheirOwnTests(t *testing.T) {
	for _, classes := range [][]Class{{PII}, {Secret}, {PII, Secret}} {
		list, err := Builtin(classes...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Compile(list); err != nil {
			t.Errorf("%v:\n%v", classes, err)
		}
	}
}
