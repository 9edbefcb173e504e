package dlp

import "github.com/sallyport/sallyport/guard"

// Carried is how many bytes of earlier messages an exchange keeps.
func Carried(x *guard.Exchange) int {
	n := 0
	kept, _ := tails.Get(x)
	for _, k := range kept {
		n += len(k.text)
	}
	return n
}

// Remembers reports whether nothing was found in a header of a tenant's before.
func Remembers(g guard.Guard, tenant, name, value string) bool {
	s := &g.(*dlp).lines
	return s.at(s.owner(tenant), name, []byte(value)).Load().is(tenant, name, []byte(value))
}
