// Package spiffe follows a SPIFFE Workload API: it keeps the gateway's own
// X.509-SVID and the bundles of the trust domains whose workloads are believed.
package spiffe
