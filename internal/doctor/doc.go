// Package doctor says what is wrong with an appliance and its network, and what to do: what
// commonly goes wrong, checked; what would happen to a packet; round trips.
//
// It is not for noticing troubles as they come, which health is: a check-up takes those up and
// looks at the rest. Nor does it change anything, or know how people ask; its refusals are [Error].
//
//   - [Examine]: the check-up. It gathers what an [Appliance] tells and what the machine shows, and
//     judges it; the judgement is pure. It asks nobody.
//   - [NAT]: what stands between this appliance and the others, from what those see of it.
//   - [Group]: one group at work here. Group.Path tells of a packet's way, Group.Ping
//     measures it, and Group.Trace each part of it.
//
// # Between members
//
// Group.Serve answers what members ask each other, by [Protocol], to find out what is wrong. A
// request is one byte, then bytes:
//
//	1  address 4: whether the host at it, on the called's segment, answers ARP.
//	   The reply is 1 or 0, and after a 1 how long it took in microseconds, 4 bytes
package doctor
