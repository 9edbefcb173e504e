// Package differential compares what the gateway judges with what the MCP SDKs
// understand.
//
// An attack on a gateway is a message that two readers read differently: the
// gateway judges the harmless reading, and the server runs the other one. The
// corpus under testdata has such messages, in both directions. Each test sends
// them to the real SDKs, with and without the gateway in between, and demands
// that the gateway refuses a message or that every SDK understands exactly what
// was judged.
package differential
