package router

import "time"

// Bounds that protocols set.
const (
	minMTU      = 576 // RFC 791: every host takes a datagram of this size
	maxMTU      = 65535
	tcpOverhead = 40 // bytes of IPv4 and TCP header: MSS = MTU - 40 (RFC 6691)
)

// Choices of this implementation.
const (
	batchFrames = 1024      // frames read or delivered at a time
	slabBytes   = 128 << 10 // room for what a batch builds; at least one packet of 65,535 bytes
	idleBatches = 4

	// minPrefixBits bounds the host table's root to 65,536 pages.
	minPrefixBits = 8

	// Packets that wait for an answer about an address.
	waitPerKey  = 8         // packets for one address
	waitBytes   = 128 << 10 // bytes for one address, buffers with the room around packets: at least one of the longest
	waitPackets = 1024      // packets in all
	waitTotal   = 4 << 20   // bytes in all
	waitKeys    = 512       // addresses asked about at a time
	waitSources = 64        // of those, sources of one member's packets: each may take as long as the news of a move does
	refusalSlot = 1024 * 16 // refusals remembered, at most

	resolveTimeout = 2 * time.Second
	// The registry remembers refusals itself, and forgets them when it hears something
	// new: what is remembered here only keeps a burst from asking at once.
	refuseAbsent    = 250 * time.Millisecond // negative cache of an address without a lease
	refuseFailed    = 250 * time.Millisecond // … when the registry could not say, and of a foreign source
	refuseNeighbour = 2 * time.Second        // … when a leased host doesn't answer ARP

	refuseSource = time.Second // … of a source that isn't of this segment

	sourceQuestions = 64 // asked in a second about sources of the segment that aren't known

	strangerEvery = 200 * time.Millisecond // between two reports of one address and MAC
	misledEvery   = 100 * time.Millisecond // between two ARP packets that tell one host of one address

	neighbourTries = 3
	neighbourWait  = 400 * time.Millisecond // between ARP requests

	// The first packet of a host that has moved may be here before the news that it has.
	moveNews = 250 * time.Millisecond

	dhcpClients = 256 // DHCP messages handled at a time, one a client
	dhcpTimeout = 5 * time.Second
	dnsQueries  = 128 // DNS queries handled at a time
	dnsTimeout  = 2 * time.Second

	// ICMP errors (RFC 1812 section 4.3.2.8).
	icmpRate, icmpBurst         = 500, 100 // a second, in all
	icmpHostRate, icmpHostBurst = 20, 10   // a second, to one host
	icmpHosts                   = 256      // hosts told apart

	warnEvery = time.Minute
)
