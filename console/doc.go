// Package console serves the appliance's REST API at two doors: on a Unix socket in the
// state directory, for the command line; and by HTTPS for persons, with the pages of
// package console/web.
//
// It is for carrying questions and orders from a person's program to the appliance, and
// for saying in words what is wrong with them. It is not for deciding anything about the
// network: all it knows comes from the Appliance interface, which it declares and which
// package appliance implements. Nothing but package appliance imports it; clients use
// the generated package console/api.
//
//	Listen      takes the socket, replacing one that a killed daemon left
//	New         makes a Server of an Appliance and of its users (console/access)
//	Door        the HTTPS door: where it is, its certificate, and who may connect
//	Server      routes, decodes, checks the document's bounds, sorts and pages lists
//	Error       an error marked with what it means for who asked; becomes a problem
//
// The way of a request: at the HTTPS door, connections of strangers to Door.Allow are closed
// unread, and the first byte tells TLS from plain HTTP, which is sent on to HTTPS. There are 640
// connections at most on which no valid credential has been shown, 512 of one address (of IPv6, one
// /64); a newcomer is let in, and the oldest of the most crowded address goes (crowd.go). Another
// 1,088 are users', most of them event streams. net/http bounds
// header and times; the echo middleware turns panics into problems; identify.go finds out whose
// the request is (socket, session, token); places.go has it wait for its turn, and bounds body (64 KiB; files of reservations 4 MiB)
// and duration: the socket, users at the door and strangers there have places of their own,
// and strangers few, 4 for each address, 8 KiB and 10 s; then identify.go wants a CSRF token where a session changes something, and refuses what the
// operation's x-role doesn't allow, before anything of the request is read; the generated routes decode parameters and body (unknown fields
// are refused); the guard of api.Guarded asks for role and re-authentication once more,
// as pages call operations without a route, and keeps what was changed in the audit log;
// handlers.go checks bounds and calls the Appliance; the generated strict
// server encodes the answer, whole, before the first byte is sent.
//
// What happens is published to Events, a ring that the appliance owns. A stream of
// server-sent events (stream.go) is a reader of that ring: it holds a place in it and nothing
// else, takes what is new five times a second at most, and is cut off where it falls behind
// the ring or its client doesn't take a write for 5 s. So publishing never waits, and memory
// is the ring's, whoever reads.
//
// Every answer that isn't a success is an RFC 9457 problem:
//
//	400  the request can't be read (JSON, types, unknown fields, parameters)
//	401  nobody is logged in, or the token, name or password is wrong
//	403  who asks may not, or must show their password once more, or the CSRF token is missing
//	404  no such path, or no such thing
//	405  no such method there
//	409  the present state doesn't allow it
//	413  the body is larger than 64 KiB
//	415  the body is not application/json
//	422  a field has a value that can't be used
//	429  too many wrong passwords, logins or requests at this moment: Retry-After says when
//	500  a fault of the appliance
//	503  the network can't do it now, or too many ask: then Retry-After says when
//
// The socket's mode is 0600: who can open it is the appliance's user or root, and may do
// everything. The core never waits for the console: handlers run on their own
// goroutines, and methods of Appliance return from memory or from the store.
package console
