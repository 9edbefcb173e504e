// Package web reads the replies of systems that take receipts over HTTP.
package web

import (
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/audit/deliver"
	"github.com/sallyport/sallyport/internal/remote"
)

// Check returns nil for success; an error that is [deliver.ErrRefused] where the
// system says that what it was sent will never do, and another one where trying
// again may help. A wrong password or path is of the latter kind: it is the
// configuration, not the receipt.
func Check(r *remote.Reply) error {
	switch {
	case r.Status/100 == 2:
		return nil
	case r.Status == http.StatusBadRequest, r.Status == http.StatusRequestEntityTooLarge, r.Status == http.StatusUnprocessableEntity:
		return deliver.Refuse("status %d: %s", r.Status, Words(r.Body))
	}
	return fmt.Errorf("status %d: %s", r.Status, Words(r.Body))
}

const maxWords = 300

// Words is what a reply says, on one line and not too long of it.
func Words(body []byte) string {
	s := strings.Join(strings.Fields(string(body)), " ")
	if len(s) > maxWords {
		cut := maxWords
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}
