// Command demo shows Landbridge's main job on real input: three sites behind NATs and a
// public member, in network namespaces of this machine, with hosts that have nothing
// but a DHCP client. It proves what it shows by a table of checks, and cleans up after
// itself.
package main
