package leasefile

import (
	"encoding/hex"
	"net/netip"
	"regexp"
	"strings"

	"landbridge/console/api"
)

// readDnsmasq reads lines of dnsmasq's configuration, of a dhcp-hostsfile, and of its leases.
func readDnsmasq(text string) File {
	f := File{Format: Dnsmasq}
	lease, leases := leaseLine(), false
	host := newHostReader()
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		settled, isHost := strings.CutPrefix(line, "dhcp-host=")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case lease.MatchString(line):
			leases = true
			f.takeLease(number, strings.Fields(line))
		case isHost, host.begin.MatchString(line):
			if i := strings.Index(settled, " #"); i >= 0 {
				settled = settled[:i]
			}
			f.takeHost(number, host, settled)
		default:
			f.Passed++ // another setting
		}
	}
	if leases {
		f.latest()
	}
	return f
}

// takeLease takes a line of dhcp.leases: end, MAC, address, name or *, client identifier or *.
func (f *File) takeLease(number int, words []string) {
	if len(words) != 5 {
		if words[0] == "duid" { // the server's own
			f.Passed++
			return
		}
		f.fault(number, "a lease has five words: when it ends, MAC, address, name and client identifier")
		return
	}
	row := Row{Line: number, Reservation: api.Reservation{Address: words[2], MAC: words[1]}}
	if words[3] != "*" {
		row.Name = label(words[3])
	}
	f.add(row)
}

// hostReader tells the words of a dhcp-host apart.
type hostReader struct{ begin, mac, time *regexp.Regexp }

func newHostReader() hostReader {
	return hostReader{
		begin: hostLine(),
		mac:   regexp.MustCompile(`^(?:[0-9A-Fa-f]{2}-)?([0-9A-Fa-f*]{1,2}(?::[0-9A-Fa-f*]{1,2}){5})$`), // with the type of the network
		time:  regexp.MustCompile(`^(?:\d+[smhdw]?|infinite|deprecated)$`),
	}
}

// takeHost takes a dhcp-host: MACs, id:…, tags, an address, a name and a time, in any order.
func (f *File) takeHost(number int, is hostReader, text string) {
	row, macs := Row{Line: number}, 0
	for word := range strings.SplitSeq(text, ",") {
		word = strings.TrimSpace(word)
		id, isID := strings.CutPrefix(word, "id:")
		addr, err := netip.ParseAddr(word)
		switch mac := is.mac.FindStringSubmatch(word); {
		case mac != nil:
			macs++
			row.MAC = mac[1]
		case isID && id != "*":
			row.ClientID = dnsmasqID(id)
		case isID, word == "", word == "ignore", strings.Contains(word, ":"), is.time.MatchString(word): // set:…, tag:…, [IPv6]
		case err == nil && addr.Is4():
			row.Address = word
		default:
			row.Name = label(word)
		}
	}
	if row.MAC != "" {
		row.ClientID = ""
	}
	switch {
	case row.Address == "":
		f.Passed++
	case macs > 1:
		f.fault(number, row.Address+" is for several MACs: an address is reserved for one host here, so give each its own")
	case strings.Contains(row.MAC, "*"):
		f.fault(number, row.Address+" is for every MAC like "+row.MAC+": an address is reserved for one host here")
	default:
		f.add(row)
	}
}

// dnsmasqID returns a client identifier in hexadecimal digits: it is written as bytes with
// colons, or as a text.
func dnsmasqID(id string) string {
	if digits := strings.ReplaceAll(id, ":", ""); strings.Contains(id, ":") {
		if _, err := hex.DecodeString(digits); err == nil {
			return digits
		}
	}
	return hex.EncodeToString([]byte(id))
}
