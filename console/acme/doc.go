// Package acme gets a certificate from a CA by ACME (RFC 8555), proving by records in the DNS
// (dns-01, section 8.4) that the names are this appliance's: nobody needs to reach it for that.
//
// It is for one order from its beginning to a certificate, and for saying when the next is due and
// in words why one failed. It is not for keeping anything (what must outlive a kill goes to the
// Keeper), nor for using the certificate: package console does both.
//
//	Settings  what an administrator has chosen: the CA, the names, how records are set
//	Orderer   Order: one order, step by step; what is left of an interrupted one is cleared first
//	Solver    sets and clears records: by RFC 2136 with TSIG, or by the protocol of acme-dns
//	Keeper    keeps the account, the registration at acme-dns and the records that are set, and is told of each step
//	Error     why an order failed and what to do, and whether trying again helps
//	Next      when the next order is due, of a certificate's dates and of what was tried
//
// The way of an order: the CA is asked for its directory, and its clock is compared with ours; the
// account is made, or found again by its key; the order is placed. Then for each name, one after
// the other as acme-dns keeps two values at a time: the CNAME at _acme-challenge.NAME is followed, the
// record is noted by the Keeper and set, the name servers of its zone are asked until all that
// answer have it, and only then the CA is told to look (a failed look counts against its limits). Last
// come a new key, the request and the chain, which is checked: it is for this key and for all names, and good now.
//
// Everything that the CA, acme-dns and name servers send is bounded: bodies 256 KiB, headers 32 KiB, DNS messages
// by the protocol, names 8, certificates 8, words 400 characters, waits as the CA asks for them 1 s to 5 minutes within an order.
// Only https is spoken, also where the directory or a redirection says otherwise.
package acme
