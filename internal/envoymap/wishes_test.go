package envoymap_test

import (
	"testing"

	"google.golang.org/grpc/metadata"

	"github.com/sallyport/sallyport/internal/envoymap"
)

func TestAnEnvoyIsHeardAsItWishes(t *testing.T) {
	for said, want := range map[string]envoymap.Wishes{
		"":               {},
		"header":         {Lean: true},
		"log":            {Lean: true, Log: true},
		"header+relayed": {Lean: true, Relayed: true},
		"log+relayed":    {Lean: true, Log: true, Relayed: true},
		"more":           {},
	} {
		md := metadata.MD{}
		if said != "" {
			md.Set(envoymap.FactsMetadata, said)
		}
		if got := envoymap.WishesOf(metadata.NewIncomingContext(t.Context(), md)); got != want {
			t.Errorf("%q: %+v", said, got)
		}
	}
	twice := metadata.Pairs(envoymap.FactsMetadata, "header", envoymap.FactsMetadata, "log")
	if got := envoymap.WishesOf(metadata.NewIncomingContext(t.Context(), twice)); got != (envoymap.Wishes{}) {
		t.Errorf("who says two things: %+v", got)
	}
}
