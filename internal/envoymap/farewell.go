package envoymap

import (
	"net/netip"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"

	"github.com/sallyport/sallyport/guard"
)

// Farewell is what Envoy's access log says of a request or tunnel that went out
// through an egress listener: the exchange, as far as its receipts tell, and how it
// ended. ok is false for an entry that is about none.
func Farewell(listener string, e *datav3.HTTPAccessLogEntry) (x guard.Exchange, o guard.Outcome, ok bool) {
	c := e.GetCommonProperties()
	said := c.GetMetadata().GetFilterMetadata()[AuthzNamespace].GetFields()
	text := func(key string) string { return said[key].GetStringValue() }
	if x.ID = text(ExchangeKey); !isExchange(x.ID) {
		return x, o, false
	}
	port, _ := strconv.Atoi(text(portKey))
	address, _ := netip.ParseAddrPort(text(AddressKey))
	x.Out = &guard.Outbound{Listener: listener, Workload: text(WorkloadKey), Scheme: text(schemeKey), Host: text(hostKey), Port: port, Address: address, Cause: text(causeKey)}
	x.Principal.Peer = text(peerKey)
	x.Peer = guard.Peer{Verified: x.Principal.Peer != "", Name: x.Principal.Peer}
	x.Source = socket(c.GetDownstreamRemoteAddress())
	x.Verb = e.GetRequest().GetRequestMethod().String()
	x.Started = c.GetStartTime().AsTime()
	o = guard.Outcome{
		Reached: c.GetUpstreamRemoteAddress() != nil,
		BytesIn: size(e.GetRequest().GetRequestBodyBytes()), BytesOut: size(e.GetResponse().GetResponseBodyBytes()),
		Status: int(e.GetResponse().GetResponseCode().GetValue()), Elapsed: c.GetDuration().AsDuration(),
	}
	o.Ending, o.Reason = ending(c, e.GetResponse().GetResponseCodeDetails())
	if o.Ending == guard.Completed || o.Ending == guard.Left && o.Reached {
		x.Upstream = o.Status
	}
	return x, o, true
}

// ending reads how Envoy says that an exchange ended. Where several things happened,
// what the gateway or a limit did is why the rest did.
func ending(c *datav3.AccessLogCommon, details string) (guard.Ending, guard.Reason) {
	f := c.GetResponseFlags()
	switch {
	case strings.HasPrefix(details, "ext_proc"): // what counts bytes ended it, or failed
		return guard.Refused, guard.TooLarge
	case f.GetStreamIdleTimeout(), f.GetDurationTimeout(), f.GetUpstreamMaxStreamDurationReached(), f.GetUpstreamRequestTimeout():
		return guard.TimedOut, ""
	case f.GetUpstreamConnectionFailure(), f.GetUpstreamConnectionTermination(), f.GetUpstreamRemoteReset(), f.GetUpstreamOverflow(), f.GetUpstreamProtocolError(),
		f.GetNoHealthyUpstream(), f.GetNoClusterFound(), f.GetUpstreamRetryLimitExceeded():
		return guard.Failed, ""
	case f.GetDownstreamConnectionTermination(), f.GetDownstreamRemoteReset(), f.GetDownstreamProtocolError():
		return guard.Left, ""
	case f.GetLocalReset(), f.GetOverloadManager():
		return guard.Reset, ""
	}
	return guard.Completed, ""
}

// isExchange reports whether s can be the id of an exchange: it is written as it is.
func isExchange(s string) bool { return len(s) == 32 && strings.Trim(s, "0123456789abcdef") == "" }

func socket(a *corev3.Address) netip.AddrPort {
	s := a.GetSocketAddress()
	ip, err := netip.ParseAddr(s.GetAddress())
	if err != nil || s.GetPortValue() > 65535 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ip, uint16(s.GetPortValue()))
}

// size keeps a number that no honest Envoy sends from turning negative.
func size(n uint64) int64 { return int64(min(n, 1<<62)) }
