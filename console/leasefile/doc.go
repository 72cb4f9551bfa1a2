// Package leasefile reads files of reservations as people have them, and writes leases as
// files that people can work with.
//
// It is for turning text into reservations of the API and leases into text. It is not for
// deciding whether a reservation can be made: that is the appliance's, which is asked by the
// operation importReservations.
//
//	Read     reservations of a file, each with the line where it stands, and what can't be read
//	Write    leases as CSV or JSON, page after page
//
// A file is told by what is in it, not by its name:
//
//	CSV          a head line, then a row for each; comma, semicolon or tab. Columns by name:
//	             address, mac, clientId, name, note and the names that Kea's lease file (memfile)
//	             has for them; others are passed over. A row whose column reserved says false is
//	             passed over, and so is a lease of Kea's that isn't live.
//	JSON         {"items": [{"address": …, "mac": …}, …]}, as the API has it and Write makes it
//	Kea          the configuration of kea-dhcp4: every "reservations" in it (with its comments)
//	dnsmasq      lines "dhcp-host=…" of its configuration, lines of a dhcp-hostsfile, and its
//	             lease file (dhcp.leases): end, MAC, address, name, client identifier
//
// Reading goes on behind a line that can't be read, so that a person sees all that is wrong.
package leasefile
