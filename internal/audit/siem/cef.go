package siem

import (
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/internal/audit/deliver"
)

// cefSeverity is how CEF counts severity, from 0 to 10.
var cefSeverity = map[deliver.Severity]string{deliver.Info: "1", deliver.Low: "3", deliver.Medium: "5", deliver.High: "8", deliver.Critical: "10"}

// CEF writes a line of the Common Event Format, version 0, as ArcSight and
// Microsoft Sentinel read it. It implements deliver.Format.
func CEF(b []byte, it *deliver.Item) []byte {
	f := fieldsOf(it)
	b = append(b, "CEF:0|Sallyport|Sallyport|1|"...)
	b = cefHeader(b, signature(it, f))
	b = append(b, '|')
	b = cefHeader(b, f.title(it))
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
		b = cefValue(b, value)
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
	put("app", "MCP")
	put("act", f["action"])
	put("reason", f["reason"])
	put("cat", f["guard"])
	put("suser", f["subject"])
	put("src", f["source"])
	put("requestMethod", f["http_method"])
	put("requestContext", f["method"])
	put("destinationServiceName", f["server"])
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

// signature names the kind of event: what a rule of a SIEM asks for.
func signature(it *deliver.Item, f fields) string {
	switch {
	case it.Kind == deliver.Record:
		return "record." + f["record"]
	case f["reason"] != "":
		return f["action"] + "." + f["reason"]
	}
	return f["action"]
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
