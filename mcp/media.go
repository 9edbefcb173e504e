package mcp

import "strings"

// Headers is what this package reads of an HTTP header block. It is valid for
// the call it is passed to.
type Headers interface {
	// Get returns the value of the header called name, which is in lower
	// case, and how many lines carry it. With several lines value is any of
	// them.
	Get(name string) (value string, n int)
}

// CheckMedia refuses requests with a body that is not plain JSON in UTF-8: the
// bytes would mean something else to whoever heeds the headers. The type is
// application/json with no parameter but charset=utf-8; there is one such
// header; and no content coding.
func CheckMedia(h Headers) *Fault {
	switch value, n := h.Get("content-type"); {
	case n == 0:
		return mediaFault("no Content-Type")
	case n > 1:
		return mediaFault("several Content-Type headers")
	case !isJSON(value):
		return mediaFault("Content-Type is not application/json in UTF-8")
	}
	switch value, n := h.Get("content-encoding"); {
	case n > 1:
		return mediaFault("several Content-Encoding headers")
	case n == 1 && !strings.EqualFold(trim(value), "identity"):
		return mediaFault("the body is encoded")
	}
	return nil
}

func isJSON(contentType string) bool {
	media, parameter, more := strings.Cut(contentType, ";")
	if !strings.EqualFold(trim(media), "application/json") {
		return false
	}
	if !more {
		return true
	}
	name, value, _ := strings.Cut(parameter, "=")
	if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
		value = value[1 : n-1]
	}
	name, value = trim(name), trim(value)
	return name == "" && value == "" && trim(parameter) == "" ||
		strings.EqualFold(name, "charset") && strings.EqualFold(strings.Trim(value, `"`), "utf-8")
}

// trim removes optional whitespace (RFC 9110, section 5.6.3).
func trim(s string) string { return strings.Trim(s, " \t") }

func mediaFault(detail string) *Fault {
	return &Fault{Reason: ReasonUnsupportedMedia, Status: 415, Code: CodeInvalidRequest, Detail: detail, Offset: -1}
}
