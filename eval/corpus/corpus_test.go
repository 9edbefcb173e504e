package corpus_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/eval/corpus"
)

func TestTheSameSeedMakesTheSameTexts(t *testing.T) {
	g, err := corpus.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	texts := g.Make(1, 3)
	if !slices.Equal(texts, g.Make(1, 3)) || slices.Equal(texts, g.Make(2, 3)) {
		t.Error("the seed does not decide")
	}
	count := map[int]int{}
	for _, x := range texts {
		count[x.Label]++
		for _, slot := range []string{"{act", "{ai", "{where", "{doc", "{who", "|"} {
			if strings.Contains(x.Text, slot) && !strings.Contains(x.Text, "<|") && !strings.Contains(x.Text, "token |") {
				t.Errorf("%s: an unfilled slot: %q", x.Family, x.Text)
			}
		}
	}
	if count[0] < 500 || count[1] < 900 {
		t.Errorf("%v texts", count)
	}
}
