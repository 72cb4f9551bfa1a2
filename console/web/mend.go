package web

import "strings"

// mendAt returns the page on which what a finding is about can be mended: the one that does what its remedy
// would have the command line do, else that of the part of the appliance. "" where no page is better than
// another.
func mendAt(component, remedy string) string {
	if _, command, ok := strings.Cut(remedy, "landbridge "); ok {
		word, _, _ := strings.Cut(command, " ")
		switch strings.TrimRight(word, ".,:;)") {
		case "forward", "names":
			return "/dns"
		case "peers", "group":
			return "/members"
		case "join":
			return "/start"
		case "hosts", "mode":
			return "/network"
		case "leases", "blocks":
			return "/leases"
		}
	}
	switch component {
	case "dns":
		return "/dns"
	case "group", "overlay", "path", "nat":
		return "/members"
	case "lan", "mode", "dhcp", "arp", "lan-port", "foreign-dhcp":
		return "/network"
	case "registry":
		return "/leases"
	case "clock", "console":
		return "/system"
	case "update":
		return "/system/update"
	}
	return ""
}
