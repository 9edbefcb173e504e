package envelope_test

import (
	"testing"

	"github.com/sallyport/sallyport/guard/envelope"
	"github.com/sallyport/sallyport/guard/guardtest"
)

func TestConformance(t *testing.T) {
	guardtest.Run(t, envelope.Spec(),
		guardtest.Config{Name: "methods", Set: func(c any) {
			c.(*envelope.Config).DeniedMethods = []string{"sampling/*", "resources/subscribe"}
			c.(*envelope.Config).AllowedMethods = []string{"to_server:tools/*", "to_server:initialize"}
		}},
		guardtest.Config{Name: "hosts", Set: func(c any) {
			c.(*envelope.Config).AllowedHosts = []string{"*.example.com"}
			c.(*envelope.Config).AllowedOrigins = []string{"https://app.example.com"}
		}})
}

func BenchmarkMethods(b *testing.B) {
	guardtest.Benchmark(b, envelope.Spec(), guardtest.Config{Set: func(c any) {
		c.(*envelope.Config).DeniedMethods = []string{"sampling/*"}
	}})
}
