// Package issuance gets certificates from an authority by ACME (RFC 8555), and shows it by DNS
// that their names are the operator's (the challenge dns-01).
//
// It is for one attempt at one certificate. It is not for deciding when to try, nor for keeping
// anything: package console does both.
//
//	Settings  which authority, which names, and how TXT records are published
//	Obtain    one attempt: account, order, records, certificate
//	Error     why it came to nothing, in words, and what to do
//	Wait      for how long not to try again after so many failures
//
// The way of an attempt: the directory is asked for its terms, the account made (or found again, by
// its key), and an order placed for all names. For each name that the authority doesn't take for
// shown already, a TXT record is published:
//
//	_acme-challenge.NAME TXT base64url(SHA-256(token "." thumbprint of the account's key))
//
// by one of two publishers: an acme-dns server (POST URL/update), to which the operator has
// pointed that name by a CNAME once; or a dynamic update (RFC 2136) of the zone, signed by TSIG
// (RFC 8945), which is taken back when the attempt has ended. Then the authority is told to look,
// and a new key's certificate is fetched and checked.
//
// All that servers answer is hostile: answers are bounded, redirects aren't followed, and what
// they say is cut to one short line before anybody reads it.
package issuance
