// Package member runs the program under test on machines of the lab, as its operators do: by its commands, of which it reads
// the JSON. Package soak and package scale make their groups of it.
//
//	m := member.New("bin/landbridge", "out/logs", lab.WAN("203.0.113.0/24").Host("a"))
//	err := m.Join(ctx, authority)   // a command of the authority's, and one of its own
//	err = m.Start(ctx, ended)       // the daemon; Kill ends it as a power cut does
//	addr, err := m.Address(ctx)
//	usage, err := m.Usage()         // memory, descriptors, threads, CPU
//
// What its daemon says goes into a file. It ends with the lab.
package member
