// Package peers runs the tunnels that are compared, Landbridge among them, each the way
// its own documentation says, with one AEAD cipher where there is a choice, and none of
// them tuned for the measurement.
//
// A [Peer] is set up on a [underlay.Pair] (keys, configuration, what it needs besides),
// then started on both sides at the same time, which is timed, and then has two ends
// between which packets go. It isn't stopped: closing the pair ends it, whatever it left
// running. [All] lists the kinds of peers, one file each.
//
// It measures nothing.
package peers
