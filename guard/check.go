package guard

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/mcp"
)

// check refuses verdicts that make no sense, which only a defective guard
// gives, and obligations that no host could carry out.
func (c *Chain) check(v *Verdict, admission bool, dir mcp.Direction, s *Spec) error {
	switch {
	case v.Action > Allow:
		return fmt.Errorf("unknown action %d", v.Action)
	case v.Action != Allow && len(v.Edits) > 0:
		return errors.New("edits need an allow verdict")
	case v.Principal != nil && (v.Action != Allow || !admission):
		return errors.New("a principal needs the allow verdict of an admission")
	case admission && len(v.Edits) > 0:
		return errors.New("admission has no message to edit")
	case v.Hint != "" && (v.Action == Allow || !isHint(v.Hint)):
		return errors.New("a hint needs a refusal, and is one line of at most 512 bytes")
	case v.Result && (v.Action != Deny || admission):
		return errors.New("a refusal as a result needs a deny verdict about a message")
	case v.Action == Hold && (v.Ticket == nil || v.Ticket.ID == ""):
		return errors.New("a hold needs a ticket with an id")
	case v.Action != Hold && v.Ticket != nil:
		return errors.New("a ticket needs a hold verdict")
	}
	if _, ok := c.reasons[v.Reason]; !ok && v.Action != Allow {
		return fmt.Errorf("reason %q is not declared", v.Reason)
	}
	for i := range v.Measures {
		if m := &v.Measures[i]; !IsLabel(m.Name) || slices.ContainsFunc(v.Measures[:i], func(o Measure) bool { return o.Name == m.Name }) {
			return fmt.Errorf("measure %q is not 1 to 64 of a-z 0-9 . _ : / -, or stands there twice", m.Name)
		}
	}
	for i := range v.Obligations {
		o := &v.Obligations[i]
		if o.Kind == AddLabel && !s.Carries && carried(o.Name) {
			return fmt.Errorf("add label: %q says what earlier messages brought, and the guard's Spec does not say that it carries", o.Name)
		}
		if o.Kind == ResponseHeader && !s.Informs {
			return errors.New("response header: the guard's Spec does not say that it informs")
		}
		if err := o.check(v.Action, admission, dir); err != nil {
			return err
		}
	}
	return nil
}

// check reports why a host could not carry o out. Names and values become
// header lines, so what could end a line, or begin another meaning, is out.
func (o *Obligation) check(a Action, admission bool, dir mcp.Direction) error {
	switch o.Kind {
	case SetHeader:
		switch {
		case a != Allow || dir != mcp.ToServer || admission:
			return errors.New("set header: only with an allowed message to the server")
		case !settable(o.Name):
			return fmt.Errorf("set header: %q is not a header that a guard may set", o.Name)
		case !isFieldValue(o.Value):
			return fmt.Errorf("set header: the value of %s cannot be one header line", o.Name)
		}
	case Constrain:
		if a != Allow || dir != mcp.ToServer || admission || !strings.HasPrefix(o.Value, "{") {
			return errors.New("constrain: only with an allowed message to the server, and a JSON object")
		}
	case AddLabel:
		if !IsLabel(o.Name) {
			return fmt.Errorf("add label: %q is not 1 to 64 of a-z 0-9 . _ : / -", o.Name)
		}
	case RetryAfter:
		if a == Allow || !isSeconds(o.Value) {
			return fmt.Errorf("retry after: %q with %s; it takes whole seconds and a refusal", o.Value, a)
		}
	case Challenge:
		if a == Allow || o.Value == "" || !isFieldValue(o.Value) {
			return errors.New("challenge: it takes one header line and a refusal")
		}
	case Cite:
		if dir != mcp.ToServer || !IsLabel(o.Name) || o.Value == "" || len(o.Value) > 256 || !isFieldValue(o.Value) {
			return errors.New("cite: only about a message to the server, with a label and an exchange")
		}
	case Mark:
		if o.Name != "values" && o.Name != "values_cut" || len(o.Value) > 4096 || !isFieldValue(o.Value) || len(o.Value)%12 != 11 {
			return errors.New("mark: it takes fingerprints of 11 characters")
		}
	case Raise:
		if !isEventKind(o.Name) {
			return fmt.Errorf("raise: %q is not 1 to 64 of a-z 0-9 _", o.Name)
		}
	case ResponseHeader:
		switch {
		case dir != mcp.ToServer:
			return errors.New("response header: only with a message to the server; the reply has begun by the time that its messages are judged")
		case !informs(o.Name):
			return fmt.Errorf("response header: %q is not a header that a guard may give the reply", o.Name)
		case o.Value == "" || !isFieldValue(o.Value):
			return fmt.Errorf("response header: the value of %s cannot be one header line", o.Name)
		}
	default:
		return fmt.Errorf("unknown obligation %d", o.Kind)
	}
	return nil
}

// settable reports whether a guard may set the request header name. Those that
// frame the message, route it, or say what it is belong to the host.
func settable(name string) bool {
	switch name {
	case "", "host", "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
		"content-length", "content-type", "content-encoding", "accept", "accept-encoding", "expect", "http2-settings",
		mcp.HeaderVersion, mcp.HeaderMethod, mcp.HeaderName, mcp.HeaderSession:
		return false
	}
	if strings.HasPrefix(name, "x-envoy-") || strings.HasPrefix(name, "x-sallyport-") {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0: // RFC 9110, 5.6.2
		default:
			return false
		}
	}
	return true
}

// informs reports whether a guard may give the reply the header name: those
// that tell the client something, and change nothing about what the reply is,
// who may read it or where the client goes next.
func informs(name string) bool {
	switch name {
	case "ratelimit", "ratelimit-policy", "dpop-nonce", "deprecation", "sunset":
		return true
	}
	return false
}

func isEventKind(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '_':
		default:
			return false
		}
	}
	return len(s) > 0 && len(s) <= 64
}

// isFieldValue accepts visible ASCII with spaces and tabs inside (RFC 9110,
// 5.5; bytes beyond ASCII are obsolete there and read differently everywhere).
func isFieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '\t' && (c < 0x20 || c > 0x7e) {
			return false
		}
	}
	return strings.Trim(s, " \t") == s
}

// IsLabel reports whether s can be a label of an exchange.
func IsLabel(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', strings.IndexByte("._:/-", c) >= 0:
		default:
			return false
		}
	}
	return len(s) > 0 && len(s) <= 64
}

// maxHint bounds what a refusal tells a client beside its fixed text.
const maxHint = 512

func isHint(s string) bool {
	for _, r := range s {
		if r < 0x20 || r == 0x7f || r == utf8.RuneError {
			return false
		}
	}
	return len(s) <= maxHint
}

func isSeconds(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return len(s) > 0 && len(s) <= 9
}

// headerParam writes a name as an MCP header value: plain where it can be,
// since go-sdk 1.8.0 refuses base64 of what plain text could carry.
func headerParam(name string) string {
	if isFieldValue(name) && !strings.HasPrefix(name, "=?base64?") && !strings.Contains(name, "\t") {
		return name
	}
	return "=?base64?" + base64.StdEncoding.EncodeToString([]byte(name)) + "?="
}
