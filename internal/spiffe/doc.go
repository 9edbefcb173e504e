// Package spiffe follows a SPIFFE Workload API, or files in its place: it keeps the gateway's own
// X.509-SVID, and the bundles of the trust domains that are known.
package spiffe
