package recent_test

import (
	"fmt"
	"testing"

	"github.com/sallyport/sallyport/internal/recent"
)

func TestPlacesKnowATextByAllOfIt(t *testing.T) {
	p := recent.NewPlaces[int]()
	for i := range 20_000 { // many share a place
		text := fmt.Append(nil, "caller ", i)
		if got := p.Get(text); got != nil {
			t.Fatalf("%s is known as %d", text, *got)
		}
		if got := *p.Put(text, i); got != i {
			t.Fatalf("%s is kept as %d", text, got)
		}
		if got := p.Get(text); got == nil || *got != i {
			t.Fatalf("%s is not known", text)
		}
	}
}

func TestPlacesKeepACopyOfTheText(t *testing.T) {
	p := recent.NewPlaces[int]()
	text := []byte("caller a")
	p.Put(text, 1)
	text[7] = 'b'
	if p.Get(text) != nil || p.Get([]byte("caller a")) == nil {
		t.Error("what is known changes with the caller's bytes")
	}
}
