// Package portmap has the router before this host open a port to it, so that members
// elsewhere reach it without anybody's help: by PCP (RFC 6887), by NAT-PMP (RFC 6886)
// where the router speaks only that, and by UPnP (InternetGatewayDevice) where it speaks neither.
//
// It asks the gateway of the host's default route alone, and believes nobody else. What the
// gateway says is one more address to be tried, and never more than that: it is offered to
// members as those are that they have seen, and used where it answers. UPnP is asked by multicast, and whoever else answers
// isn't heard; what it says as XML is bounded.
//
//   - [Keep]: asks, renews at half the lifetime, and begins anew with another gateway, or another address of ours.
//   - messages (message.go): PCP's MAP and NAT-PMP's requests, 12 to 60 bytes.
//   - UPnP (igd.go): a search, a description, and orders by SOAP. Not by a library: the one that there is bounds nothing of
//     what a device says.
package portmap
