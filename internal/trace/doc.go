// Package trace records exchanges as spans of distributed traces: where an
// exchange belongs, what is kept of it, and how that and the proxy's own spans get
// to a receiver of the OpenTelemetry protocol.
package trace
