package recent

import "testing"

func TestTextsAreToldApartWithoutBeingKept(t *testing.T) {
	one, err := NewTexts[int](10)
	if err != nil {
		t.Fatal(err)
	}
	two, err := NewTexts[int](10)
	if err != nil {
		t.Fatal(err)
	}
	key := func(x *Texts[int], parts ...string) Key {
		var list [][]byte
		for _, p := range parts {
			list = append(list, []byte(p))
		}
		k, _ := x.Key(nil, list...)
		return k
	}
	if first := key(one, "a", "b"); first != key(one, "a", "b") {
		t.Error("the same is not the same")
	}
	if key(one, "a", "b") == key(one, "ab", "") || key(one, "a", "b") == key(one, "b", "a") || key(one, "a") == key(one, "a", "") {
		t.Error("the parts run together")
	}
	if key(one, "a") == key(two, "a") {
		t.Error("keys can be told outside of the process")
	}
}
