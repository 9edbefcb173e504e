// Package mcp reads, classifies and edits Model Context Protocol messages.
//
// It is the one reader of every path through the gateway: what it accepts is
// what the guards judge and, byte for byte, what is forwarded. It therefore
// refuses everything that two JSON parsers could understand differently
// (duplicate or case-folded keys, invalid UTF-8, several values, ...), see
// [Decoder.Decode]. It imports the standard library only.
package mcp
