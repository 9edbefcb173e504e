package envoymap_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sallyport/sallyport/internal/envoymap"
)

func block(names ...string) envoymap.Headers {
	m := &corev3.HeaderMap{}
	for _, n := range names {
		name, value, _ := strings.Cut(n, "=")
		m.Headers = append(m.Headers, &corev3.HeaderValue{Key: name, RawValue: []byte(value)})
	}
	return envoymap.NewHeaders(m)
}

func TestForgedHeadersDoNotReachAnUpstream(t *testing.T) {
	forged := []string{
		"authorization", "proxy-authorization", "cookie", "x-api-key",
		"x-forwarded-client-cert", "x-forwarded-host", "x-forwarded-port", "x-forwarded-user", "x-forwarded-email", "x-forwarded-groups", "forwarded",
		"x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip", "x-original-url", "x-rewrite-url", "x-http-method-override",
		"x-sallyport-version", "x-sallyport-server", "x-sallyport-anything", "x-user", "x-remote-user", "remote-user", "x-auth-request-user",
		"x-amzn-oidc-identity", "x-goog-authenticated-user-email", "x-ms-client-principal", "x-spiffe-id", "x-tenant-id",
		"accept-encoding", "te", "trailer", "expect", "range", "if-none-match", "origin", "referer", "sec-fetch-site", "via", "b3", "x-b3-traceid",
	}
	needed := []string{
		":method=POST", ":path=/", ":authority=x", ":scheme=http", "host=x", "content-type=application/json", "content-length=1", "accept=*/*",
		"user-agent=u", "last-event-id=1", "mcp-session-id=s", "mcp-protocol-version=v", "mcp-method=m", "mcp-name=n", "mcp-param-city=Porto",
		"traceparent=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate=t", "baggage=b", "x-request-id=r", "x-forwarded-for=192.0.2.7", "x-forwarded-proto=https",
		"x-envoy-internal=true", "transfer-encoding=chunked",
	}
	all := slices.Clone(needed)
	for _, f := range forged {
		all = append(all, f+"=a", f+"=b")
	}
	got := block(all...).Strip()
	slices.Sort(got)
	want := slices.Clone(forged)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("stripped %q\nwant     %q", got, want)
	}
}

func TestATraceparentThatIsNoneGoes(t *testing.T) {
	for _, value := range []string{"AKIAQ3EGRIPWNLKT5XZV", "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", "00-00000000000000000000000000000000-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x", ""} {
		if got := block("traceparent=" + value).Strip(); len(got) != 1 {
			t.Errorf("%q passes", value)
		}
	}
}

// What a guard is shown is what the server gets of the client.
func TestHeadersThatGuardsSee(t *testing.T) {
	var got []string
	block(":method=POST", ":path=/mcp/a", "authorization=a", "cookie=c", "content-type=application/json", "user-agent=u", "mcp-param-city=Porto", "x-envoy-odd=1", "x-envoy-internal=true", "mcp-protocol-version=v").Each(func(name string, value []byte) {
		got = append(got, name+"="+string(value))
	})
	if want := []string{":path=/mcp/a", "user-agent=u", "mcp-param-city=Porto", "x-envoy-odd=1"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestTheClientsPartOfForwardedForGoes(t *testing.T) {
	for value, stripped := range map[string]bool{"192.0.2.7": false, "10.0.0.1, 192.0.2.7": true, "10.0.0.1,192.0.2.7": true} {
		if got := block("x-forwarded-for=" + value).Strip(); (len(got) == 1) != stripped {
			t.Errorf("%q: stripped %q", value, got)
		}
	}
}

func TestWhatAnUpstreamMayNotTellTheClientIsWithheld(t *testing.T) {
	withheld := []string{
		"set-cookie", "www-authenticate", "proxy-authenticate", "location", "refresh", "link", "alt-svc", "content-location",
		"access-control-allow-origin", "access-control-allow-credentials", "access-control-expose-headers",
		"content-security-policy", "strict-transport-security", "public-key-pins", "clear-site-data", "service-worker-allowed",
		"server", "x-powered-by", "via", "server-timing", "x-sallyport-version", "x-sallyport-anything", "content-encoding", "content-disposition",
		"trailer", "etag", "vary", "nel", "report-to", "authorization", "cookie", "x-internal-host", "mcp-name", "mcp-anything",
	}
	passed := []string{":status=200", "content-type=application/json", "content-length=1", "date=d", "cache-control=no-store", "retry-after=1",
		"allow=POST", "x-request-id=r", "traceparent=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate=t", "mcp-session-id=s", "mcp-protocol-version=v",
		"x-envoy-upstream-service-time=1", "transfer-encoding=chunked", "connection=close"}
	all := slices.Clone(passed)
	for _, w := range withheld {
		all = append(all, w+"=a", w+"=b")
	}
	got := block(all...).Withhold()
	slices.Sort(got)
	slices.Sort(withheld)
	if !slices.Equal(got, withheld) {
		t.Errorf("withheld %q\nwant     %q", got, withheld)
	}
}

func TestAHeaderIsReadHoweverEnvoySendsIt(t *testing.T) {
	h := envoymap.NewHeaders(&corev3.HeaderMap{Headers: []*corev3.HeaderValue{
		{Key: "raw", RawValue: []byte("r")}, {Key: "text", Value: "t"},
		{Key: "both", Value: "t", RawValue: []byte("r")}, // the raw one is what Envoy forwards
		{Key: "twice", Value: "first"}, {Key: "twice", RawValue: []byte("second")},
		{Key: "empty"},
	}})
	for name, want := range map[string]struct {
		value string
		n     int
	}{"raw": {"r", 1}, "text": {"t", 1}, "both": {"r", 1}, "twice": {"first", 2}, "empty": {"", 1}, "none": {"", 0}, "RAW": {"", 0}} {
		if v, n := h.Get(name); v != want.value || n != want.n {
			t.Errorf("%s: %q, %d", name, v, n)
		}
	}
	if none := envoymap.NewHeaders(nil); none.Value("host") != "" || none.Strip() != nil || none.Withhold() != nil {
		t.Error("a block that is not there has headers")
	}
}

func TestOnlyAnAddressIsASource(t *testing.T) {
	attrs := func(v string) map[string]*structpb.Struct {
		return map[string]*structpb.Struct{"envoy.filters.http.ext_proc": {Fields: map[string]*structpb.Value{"source.address": structpb.NewStringValue(v)}}}
	}
	for v, valid := range map[string]bool{"192.0.2.7:4711": true, "[2001:db8::1]:1": true, "192.0.2.7": false, "/run/envoy.sock": false, "": false, "a:b": false} {
		if got := envoymap.Source(attrs(v)); got.IsValid() != valid || valid && got.String() != v {
			t.Errorf("%q: %s", v, got)
		}
	}
	if envoymap.Source(nil).IsValid() {
		t.Error("no attributes, and a source")
	}
}

func TestFactsLeaveOutWhatIsEmpty(t *testing.T) {
	f := envoymap.Facts{ID: []byte(`"a\"b"`), Server: "crm"}
	text, err := protojson.Marshal(envoymap.InNamespace(f.Metadata()))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]map[string]string
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if m := got[envoymap.Namespace]; len(m) != 2 || m["id"] != `"a\"b"` || m["server"] != "crm" {
		t.Errorf("got %s", text)
	}
}
