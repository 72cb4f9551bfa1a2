// Package acmelab is where tests of certificates by ACME get theirs: from a real authority (pebble, Let's Encrypt's
// own server for tests) that looks for records at a real DNS server.
//
//	Authority  pebble, as a process of its own
//	Zone       a DNS server for example.com that takes dynamic updates with TSIG
//	StartAcmeDNS  the API of an acme-dns server, whose records the Zone has
//
// It is for tests alone. pebble is built once, in an exact version, by the Go module proxy.
package acmelab
