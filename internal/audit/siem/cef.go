package siem

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/audit/deliver"
)

// cefSeverity is how CEF counts severity, from 0 to 10.
var cefSeverity = map[deliver.Severity]string{deliver.Info: "1", deliver.Low: "3", deliver.Medium: "5", deliver.High: "8", deliver.Critical: "10"}

// CEF writes a line of the Common Event Format, version 0, as ArcSight and
// Microsoft Sentinel read it. It implements deliver.Format.
func CEF(b []byte, it *deliver.Item) []byte {
	f := fieldsOf(it)
	b = append(b, "CEF:0|Sallyport|Sallyport|1|"...)
	b = cefHeader(b, cut(signature(it, f), longestValue))
	b = append(b, '|')
	b = cefHeader(b, cut(f.title(it), longestName))
	b = append(append(append(b, '|'), cefSeverity[it.Facts.Severity]...), '|')
	first := true
	put := func(key, value string) {
		if value == "" {
			return
		}
		if !first {
			b = append(b, ' ')
		}
		first = false
		b = append(append(b, key...), '=')
		b = cefValue(b, cut(value, longestValue))
	}
	custom := func(key, label, value string) {
		if value != "" {
			put(key, value)
			put(key+"Label", label)
		}
	}
	if !it.Time.IsZero() {
		put("rt", strconv.FormatInt(it.Time.UnixMilli(), 10))
	}
	put("externalId", it.ID)
	put("deviceExternalId", it.Replica)
	if !f.egress() {
		put("app", "MCP")
	}
	put("act", f["action"])
	put("reason", f["reason"])
	put("cat", f["guard"])
	for _, n := range [...][2]string{{"in", "bytes_to_server"}, {"out", "bytes_to_client"}} {
		if _, err := strconv.ParseUint(f[n[1]], 10, 64); err == nil { // masked, it is no number
			put(n[0], f[n[1]])
		}
	}
	put("suser", f["subject"])
	cefAddress(put, f["source"], "src", "shost", "c6a2", "Source IPv6 Address")
	put("requestMethod", f["http_method"])
	put("requestContext", f["method"])
	put("destinationServiceName", f["server"])
	put("sourceServiceName", f["egress.workload"])
	cefAddress(put, f["egress.host"], "dst", "dhost", "c6a3", "Destination IPv6 Address")
	if port := f.port("egress.port"); port > 0 { // masked, it is no number
		put("dpt", strconv.Itoa(port))
	}
	put("msg", f["detail"]+f["trouble"])
	custom("cs1", "tenant", f["tenant"])
	custom("cs2", "agent", f["agent"])
	custom("cs3", "name", f["name"])
	custom("cs4", "policy", f["policy"])
	custom("cs5", "trace", f["trace_id"])
	custom("cs6", "hash", it.Hash.String())
	custom("cn1", "seq", strconv.FormatUint(it.Seq, 10))
	custom("flexString1", "events", strings.Join(it.Facts.Events, ","))
	custom("flexString2", "exchange", f["exchange"])
	return b
}

// What readers keep of a name and of the shortest text that a caller can choose. A
// longer one would push the rest of the line out of their buffers.
const longestName, longestValue = 512, 1023

// cut takes what is more than n bytes off the end of s, and says so.
func cut(s string, n int) string {
	const mark = "..."
	if len(s) <= n {
		return s
	}
	n -= len(mark)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + mark
}

// signature names the kind of event: what a rule of a SIEM asks for.
func signature(it *deliver.Item, f fields) string {
	switch {
	case it.Kind == deliver.Record:
		return "record." + f["record"]
	case f["closed"] != "":
		return "closed." + f["closed"]
	case f["reason"] != "":
		return f["action"] + "." + f["reason"]
	}
	return f["action"]
}

// cefAddress puts an address where version 0 has a place for it: the plain keys are
// for IPv4 only, and what is none, or is masked, is a name.
func cefAddress(put func(key, value string), s, ipv4, host, ipv6, label string) {
	switch ip := address(s); {
	case !ip.IsValid():
		put(host, s)
	case ip.Is4():
		put(ipv4, ip.String())
	default:
		put(ipv6, ip.String())
		put(ipv6+"Label", label)
	}
}

// cefHeader escapes what the header may not hold: backslash, bar and line ends.
func cefHeader(b []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\\' || c == '|':
			b = append(b, '\\', c)
		case c < ' ' || c == 0x7f:
			b = append(b, ' ')
		default:
			b = append(b, c)
		}
	}
	return b
}

// cefValue escapes what a value of the extension may not hold: backslash, equals
// sign and line ends.
func cefValue(b []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\\' || c == '=':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c < ' ' || c == 0x7f:
			b = append(b, ' ')
		default:
			b = append(b, c)
		}
	}
	return b
}
