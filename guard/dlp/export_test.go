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
