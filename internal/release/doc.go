// Package release leads policies through their lives: it fetches bundles, keeps
// the good ones, and decides which of them judges. What a bundle is, whoever
// opens it knows.
package release
