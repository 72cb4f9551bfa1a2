package web

import (
	"landbridge/console/api"
)

// pingReport is what became of some packets, with what they have in common.
type pingReport struct {
	api.PingResult
	Packets                []pingRow
	Least, Mean, Most      int64 // round-trip times, microseconds; 0 where nothing was answered
	Lost                   int   // percent
	Kind                   string
	WaysDiffer, AnyTrouble bool
}

// pingRow is a packet, and how long its bar is.
type pingRow struct {
	api.PingPacket
	Way     string // the word of the path; see parts/kind.html
	Percent int    // of the longest round trip
}

func newPingReport(r api.PingResult) *pingReport {
	report := &pingReport{PingResult: r, Kind: string(r.Kind)}
	var sum int64
	for _, k := range r.Packets {
		if !k.Answered {
			continue
		}
		sum += k.RttMicroseconds
		report.Most = max(report.Most, k.RttMicroseconds)
		if report.Least == 0 || k.RttMicroseconds < report.Least {
			report.Least = k.RttMicroseconds
		}
	}
	if r.Received > 0 {
		report.Mean = sum / int64(r.Received)
	}
	report.Lost = percent(r.Sent-r.Received, r.Sent)
	for _, k := range r.Packets {
		row := pingRow{PingPacket: k, Way: wayOf(k)}
		if k.Answered {
			row.Percent = max(1, percent(int(k.RttMicroseconds), int(max(1, report.Most))))
		}
		report.Packets = append(report.Packets, row)
	}
	return report
}

// wayOf returns the word of a packet's path; empty where it took none of a session's.
func wayOf(k api.PingPacket) string {
	switch {
	case k.Native:
		return "native"
	case k.Path == api.PathKindNone:
		return ""
	}
	return string(k.Path)
}
