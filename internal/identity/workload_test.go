package identity

import "testing"

func TestIsWorkload(t *testing.T) {
	domains := []string{"company.example", "partner.example"}
	for id, want := range map[string]bool{
		"spiffe://company.example/desk": true, "spiffe://partner.example/a/b": true,
		"spiffe://company.example": false, "spiffe://company.example/": false, "spiffe://other.example/desk": false,
		"spiffe://company.example.evil/desk": false, "spiffe://company.example@evil/desk": false, "https://company.example/desk": false,
		"SPIFFE://company.example/desk": false, "CN=spiffe://company.example/desk": false, "": false, "spiffe:///desk": false,
	} {
		if got := isWorkload(id, domains); got != want {
			t.Errorf("%q: %v", id, got)
		}
	}
}
