package tunnel

import (
	"fmt"
	"sync/atomic"
)

// A Counter names one of the tunnel's or the socket's counts.
type Counter uint8

// What is counted. The names say what happened to a datagram or a packet; most are
// reasons to drop it. The last three, SendWaited, and those that begin with Lacks, say what
// costs speed.
const (
	DatagramsIn Counter = iota // tunnel datagrams that arrived (socket)
	QUICIn                     // datagrams handed to QUIC (socket)
	QUICFull                   // QUIC did not fetch its datagrams in time (socket)
	QUICOversize
	Truncated    // larger than any that we send (socket)
	BadHeader    // not a sealed datagram (socket)
	UnknownIndex // no such session: old, of another tunnel's past, or guessed (socket)
	SendWaited   // the kernel's send buffer was full, and it waited in the backlog (socket)
	SendFull     // the backlog of its destination, or of all, was as long as may be; or ENOBUFS (socket)
	SendOld      // it had waited in the backlog for too long, or CoDel chose it (socket)
	SendTooBig   // EMSGSIZE (socket)
	SendUnreachable
	SendRefused  // any other error of the kernel (socket)
	SendUnjoined // runs of datagrams that the kernel refused to take whole (socket)
	LacksGRO     // 1: the kernel doesn't join datagrams that arrive (socket)
	LacksSegment // 1: the kernel doesn't take joined datagrams (socket)
	LacksIPv6    // 1: there is no IPv6, or no socket for both families (socket)

	Forged   // the tag doesn't match
	Replayed // the counter was seen, or is too old
	BadControl
	UnknownControl
	BadRelayed // an envelope within an envelope, or of another group
	Forwarded  // relayed for others
	RelayNoPath
	RelayOverRate
	RelayOff
	RelayKept         // for a member whose channel was down a moment
	RelayKeptSent     // of those, when it was heard again
	RelayKeptLost     // of those: too many, or it wasn't heard in time
	CongestionDropped // bulk, since the queue on its way has stood for long
	CongestionMarked  // the same, with ECN: marked instead
	BadBody           // authentic, and not what package frame draws
	NotIP             // asked to send what isn't an IP packet, or asks for an offload that it can't have
	OverMTU           // asked to send more than the MTU
	KeyWornOut        // a key that was not renewed in time
	QueueFull         // too many packets waited for a session
	QueueOld          // a packet waited too long for a session
	TooManyPeers
	Unauthorized // a session ended because the peer's certificate did
	BadOffer     // an offer or answer that was refused

	NoAES          // sessions with ChaCha20-Poly1305, as an end has no AES instructions
	PathNarrow     // paths taken into use on which full-size datagrams are lost
	PathFragmented // paths taken into use on which full-size datagrams are fragmented
	numCounters

	firstOfTunnel = Forged // those before are the socket's
)

// String returns the name under which the counter is listed.
func (c Counter) String() string {
	names := [numCounters]string{
		"datagrams_in", "quic_in", "quic_full", "quic_oversize", "truncated", "bad_header", "unknown_index",
		"send_waited", "send_full", "send_old", "send_too_big", "send_unreachable", "send_refused", "send_unjoined",
		"lacks_udp_gro", "lacks_udp_segment", "lacks_ipv6",
		"forged", "replayed", "bad_control", "unknown_control", "bad_relayed", "forwarded",
		"relay_no_path", "relay_over_rate", "relay_off", "relay_kept", "relay_kept_sent", "relay_kept_lost", "congestion_dropped", "congestion_marked", "bad_body", "not_ip", "over_mtu", "key_worn_out",
		"queue_full", "queue_old", "too_many_peers", "unauthorized", "bad_offer",
		"no_aes", "path_narrow", "path_fragmented",
	}
	if c >= numCounters {
		return fmt.Sprintf("counter %d", uint8(c))
	}
	return names[c]
}

type counters [numCounters]atomic.Uint64

func (c *counters) add(what Counter, n int) { c[what].Add(uint64(n)) }

// list returns the counters from first up to before end, zeros too.
func (c *counters) list(first, end Counter) map[string]uint64 {
	m := make(map[string]uint64, end-first)
	for i := first; i < end; i++ {
		m[i.String()] = c[i].Load()
	}
	return m
}
