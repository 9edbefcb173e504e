// Package resilience breaks a running gateway on purpose: processes are killed
// and stopped, files are spoilt and disks are full, all under load, with a real
// Envoy. What it holds the gateway to: no request is lost that need not be,
// nothing passes unjudged, and whatever a client gets, it can read.
package resilience
