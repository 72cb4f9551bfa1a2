// Package forward asks other DNS servers about names that aren't the group's, for the hosts of a
// segment: split DNS, a server or some for each zone, and one for everything else where the zone is ".".
//
// A [Forwarder] is what [landbridge/dns.Handler] asks about a name that isn't its own. It has no
// listener, recurses nowhere itself, and validates no DNSSEC: it hands on what a server that an operator
// named has said, after these checks (RFC 5452): each question goes out from a socket of its own, whose port the
// kernel picks at random, with a random ID; only a datagram from that server's address, with that ID and the same
// question, is an answer. Anything else is left unread until the time is over.
//
//	question ── zone by longest match? ── no: not forwarded, the handler refuses
//	     │
//	   cache? ── yes: answered, with what is left of its time
//	     │
//	   room? ── no: SERVFAIL        bound: questions under way, in all and of one zone (one while it fails), and questions a second of one host
//	     │
//	   under way already? ── yes: answered with that one
//	     │
//	   the zone's servers, those that answered last first: UDP, and TCP where the answer is cut
//	     │
//	   answered: into the cache; nobody answered: SERVFAIL, and the zone is told as failing
//
// While a zone fails, its servers are asked for its SOA now and then, so that it is noticed when they are
// back though no host asks. Where nothing is forwarded or nothing fails, nothing runs here.
//
// [Parse] and [Zone.String] read and write a zone as configuration files have it: corp.example=10.0.0.53,10.0.0.54.
package forward
