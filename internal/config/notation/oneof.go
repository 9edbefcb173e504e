package notation

import (
	"fmt"
	"slices"
	"strings"
)

// OneOf reports that the value of key is none of those that are allowed.
func OneOf(key, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("%s: %q is not one of %s", key, value, strings.Join(allowed, ", "))
}
