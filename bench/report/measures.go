package report

import "fmt"

// Measure describes one kind of figure.
type Measure struct {
	ID    string
	Title string // of a column
	Unit  string
	Lower bool // is better
}

// The measures' names in samples.
const (
	Startup          = "startup_ms"
	RSSIdle          = "rss_idle_mb"
	RSSLoad          = "rss_load_mb"
	RSSPeak          = "rss_peak_mb"
	MTU              = "mtu"
	PingP50          = "ping_p50_us"
	PingP99          = "ping_p99_us"
	TCP1             = "tcp1_mbps"
	TCP1Back         = "tcp1_back_mbps"
	TCP4             = "tcp4_mbps"
	CPU              = "cpu_s_per_gb"
	HostCPU          = "host_cpu_s_per_gb"
	UDP64            = "udp64_pps"
	UDP64Max         = "udp64_max_pps"
	UDP1200          = "udp1200_mbps"
	UDP1200Max       = "udp1200_max_mbps"
	RR               = "rr_per_s"
	RRP99            = "rr_p99_us"
	CRR              = "crr_per_s"
	CRRP99           = "crr_p99_us"
	WANTCP           = "wan_tcp_mbps"
	WANPing          = "wan_ping_ms"
	WANLoaded        = "wan_loaded_ping_p99_ms"
	WANShare         = "wan_share"
	ManyUDP64        = "many_udp64_pps"
	ManyCPU          = "many_cpu_us_per_packet"
	ManyUDP64Back    = "many_udp64_back_pps"
	ManyCPUBack      = "many_back_cpu_us_per_packet"
	ManyUDP1200      = "many_udp1200_pps"
	ManyUDP1200Back  = "many_udp1200_back_pps"
	NativeTCP        = "native_tcp_mbps"
	NativeTCPSame    = "native_tcp_same_mtu_mbps"
	NativeRR         = "native_rr_p50_us"
	Carried          = "native_carried_packets"
	ConsoleAlone50   = "console_alone_ping_p50_us"
	ConsoleAlone99   = "console_alone_ping_p99_us"
	ConsoleOther50   = "console_other_ping_p50_us"
	ConsoleOther99   = "console_other_ping_p99_us"
	ConsoleOtherRate = "console_other_answers_per_s"
	ConsolePing50    = "console_ping_p50_us"
	ConsolePing99    = "console_ping_p99_us"
	ConsoleRate      = "console_answers_per_s"
	ConsoleStreams   = "console_streams"
	ConsoleRSS       = "console_rss_peak_mb"
	Syncs            = "syncs_per_s"
	Leases           = "leases_per_s"
	LeaseCPU         = "lease_cpu_us"
	LeaseP50         = "lease_p50_ms"
	LeaseP99         = "lease_p99_ms"
	Queries          = "queries_per_s"
	QueriesCPU       = "queries_per_cpu_s"
	QueriesLost      = "queries_lost"
)

// Measures returns all kinds.
func Measures() []Measure {
	all := []Measure{
		{ID: TCP1, Title: "TCP, 1 stream", Unit: "Mbit/s"},
		{ID: TCP1Back, Title: "back", Unit: "Mbit/s"},
		{ID: TCP4, Title: "4 streams", Unit: "Mbit/s"},
		{ID: CPU, Title: "CPU", Unit: "s/GB", Lower: true},
		{ID: HostCPU, Title: "CPU of the hosts' programs", Unit: "s/GB", Lower: true},
		{ID: UDP64, Title: "UDP 64 B", Unit: "1/s"},
		{ID: UDP64Max, Title: "UDP 64 B, at any loss", Unit: "1/s"},
		{ID: UDP1200, Title: "UDP 1200 B", Unit: "Mbit/s"},
		{ID: UDP1200Max, Title: "UDP 1200 B, at any loss", Unit: "Mbit/s"},
		{ID: PingP50, Title: "ping p50", Unit: "µs", Lower: true},
		{ID: PingP99, Title: "ping p99", Unit: "µs", Lower: true},
		{ID: RR, Title: "requests", Unit: "1/s"},
		{ID: RRP99, Title: "request p99", Unit: "µs", Lower: true},
		{ID: CRR, Title: "connections", Unit: "1/s"},
		{ID: CRRP99, Title: "connection p99", Unit: "µs", Lower: true},
		{ID: Startup, Title: "start", Unit: "ms", Lower: true},
		{ID: RSSIdle, Title: "RSS idle", Unit: "MB", Lower: true},
		{ID: RSSLoad, Title: "RSS after load", Unit: "MB", Lower: true},
		{ID: RSSPeak, Title: "RSS peak", Unit: "MB", Lower: true},
		{ID: MTU, Title: "MTU", Unit: "B"},
		{ID: WANTCP, Title: "TCP", Unit: "Mbit/s"},
		{ID: WANPing, Title: "ping p50", Unit: "ms", Lower: true},
		{ID: WANLoaded, Title: "ping p99 under load", Unit: "ms", Lower: true},
		{ID: WANShare, Title: "of the bare path, less headers"},
		{ID: ManyCPU, Title: "CPU of the sender's program", Unit: "µs/packet", Lower: true},
		{ID: ManyUDP64, Title: "UDP 64 B", Unit: "1/s"},
		{ID: ManyUDP64Back, Title: "back", Unit: "1/s"},
		{ID: ManyCPUBack, Title: "CPU of the receiver's program", Unit: "µs/packet", Lower: true},
		{ID: ManyUDP1200, Title: "UDP 1200 B", Unit: "1/s"},
		{ID: ManyUDP1200Back, Title: "back", Unit: "1/s"},
		{ID: NativeTCP, Title: "TCP, natively", Unit: "Mbit/s"},
		{ID: NativeTCPSame, Title: "TCP, natively, this MTU", Unit: "Mbit/s"},
		{ID: NativeRR, Title: "request p50, natively", Unit: "µs", Lower: true},
		{ID: Carried, Title: "carried by tunnels meanwhile", Unit: "packets", Lower: true},
		{ID: ConsoleAlone50, Title: "ping p50 alone", Unit: "µs", Lower: true},
		{ID: ConsoleAlone99, Title: "ping p99 alone", Unit: "µs", Lower: true},
		{ID: ConsoleOther50, Title: "ping p50, other's flood", Unit: "µs", Lower: true},
		{ID: ConsoleOther99, Title: "ping p99, other's flood", Unit: "µs", Lower: true},
		{ID: ConsoleOtherRate, Title: "the other's answers", Unit: "1/s"},
		{ID: ConsolePing50, Title: "ping p50 beside a flood", Unit: "µs", Lower: true},
		{ID: ConsolePing99, Title: "ping p99 beside a flood", Unit: "µs", Lower: true},
		{ID: ConsoleRate, Title: "console's answers", Unit: "1/s"},
		{ID: ConsoleStreams, Title: "streams that stood", Unit: ""},
		{ID: ConsoleRSS, Title: "RSS peak", Unit: "MB", Lower: true},
		{ID: Syncs, Title: "syncs of the disk, one after the other", Unit: "1/s"},
		{ID: Leases, Title: "leases", Unit: "1/s"},
		{ID: LeaseCPU, Title: "CPU of the server's program", Unit: "µs/lease", Lower: true},
		{ID: LeaseP50, Title: "DISCOVER to ACK p50", Unit: "ms", Lower: true},
		{ID: LeaseP99, Title: "p99", Unit: "ms", Lower: true},
		{ID: Queries, Title: "queries", Unit: "1/s"},
		{ID: QueriesCPU, Title: "queries", Unit: "1/CPU s"},
		{ID: QueriesLost, Title: "lost", Unit: "queries", Lower: true},
	}
	for _, megabits := range Rates() {
		all = append(all, Measure{ID: Cores(megabits), Title: fmt.Sprintf("CPU at %s Mbit/s", Number(float64(megabits))), Unit: "cores", Lower: true})
	}
	return all
}

// Rates returns those of TCP, in Mbit/s, at which bench modes measures the CPU.
func Rates() []int { return []int{100, 500, 1000, 2000, 4000} }

// Cores names the measure of what appliances use at one of the Rates.
func Cores(megabits int) string { return fmt.Sprintf("cores_at_%d", megabits) }

// Describe returns a measure by its name.
func Describe(id string) (Measure, bool) {
	for _, m := range Measures() {
		if m.ID == id {
			return m, true
		}
	}
	return Measure{}, false
}
