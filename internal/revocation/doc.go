// Package revocation keeps the list of those whose identity counts no longer,
// whatever their tokens and certificates say: by subject, client, token or peer.
//
// Asking the list takes no lock and allocates nothing, since every request does.
// Replicas that share a store learn of a change by its announcement, and look by
// themselves so often that a lost one does not matter. A store that lost what it
// held is given it again: nothing comes off the list but by its own expiry or by
// somebody who takes it off.
package revocation
