package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"landbridge/bench/peers"
	"landbridge/bench/report"
	"landbridge/bench/underlay"
)

// machine says where this run is.
func machine(ctx context.Context, quick bool) report.Machine {
	m := report.Machine{Started: time.Now().UTC(), Cores: runtime.NumCPU(), Quick: quick, CPU: runtime.GOARCH, Commit: "unknown"}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		m.Memory = int64(info.Totalram) * int64(info.Unit)
	}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		m.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			m.CPU = strings.TrimSpace(value)
			break
		}
	}
	if out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--exclude=*").Output(); err == nil {
		m.Commit = strings.TrimSpace(string(out))
	}
	return m
}

// publish writes the report of a file of samples.
func publish(samples string, o options) error {
	file, err := os.Open(samples)
	if err != nil {
		return err
	}
	defer file.Close()
	data, err := report.Read(file)
	if err != nil {
		return err
	}
	p := ofTunnels()
	switch {
	case o.modes:
		p = ofModes()
	case o.addresses:
		p = ofAddresses()
	}
	text, err := p.markdown(data)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(o.out, "report.md"), []byte(text), 0o644); err != nil {
		return err
	}
	svg, err := p.svg(data)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: no plot:", err) // of WANs alone, say
	}
	if svg != "" {
		if err := os.WriteFile(filepath.Join(o.out, "report.svg"), []byte(svg), 0o644); err != nil {
			return err
		}
	}
	if o.docs == "" {
		return nil
	}
	return p.insert(o.docs, text, svg)
}

// paper is a document with a report in it, and a picture beside it.
type paper struct {
	name     string // of both files
	caption  string // of the picture
	begin    string // marker
	markdown func(report.Data) (string, error)
	svg      func(report.Data) (string, error)
}

// ofTunnels is the paper of Landbridge beside other tunnels.
func ofTunnels() paper {
	style := report.Style{Reference: peers.WireGuardGo}
	for _, k := range peers.All() {
		style.Order = append(style.Order, k.Name)
		if k.Plain {
			style.Plain = append(style.Plain, k.Name)
		}
	}
	return paper{
		name: "performance", caption: "Landbridge beside other tunnels", begin: report.Begin,
		markdown: func(d report.Data) (string, error) { return report.Markdown(d, style) },
		svg:      func(d report.Data) (string, error) { return plot(d, style) },
	}
}

// ofModes is that of Landbridge's modes.
func ofModes() paper {
	return paper{name: "modes", caption: "Landbridge's modes", begin: report.BeginModes, markdown: report.Modes, svg: report.ModesSVG}
}

// ofAddresses is that of Landbridge beside servers of addresses and names.
func ofAddresses() paper {
	none := func(report.Data) (string, error) { return "", nil }
	return paper{name: "addresses", begin: report.BeginAddresses, markdown: report.Addresses, svg: none}
}

// plot draws the profile that is the more honest of those that were measured.
func plot(data report.Data, style report.Style) (string, error) {
	profile := string(underlay.NIC)
	if !slices.ContainsFunc(data.Samples, func(s report.Sample) bool { return s.Profile == profile }) {
		profile = string(underlay.Veth)
	}
	return report.SVG(data, profile, style)
}

// insert puts report and plot into the documents.
func (p paper) insert(docs, text, svg string) error {
	document := filepath.Join(docs, p.name+".md")
	old, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	if svg != "" {
		text = fmt.Sprintf("![%s](%s.svg)\n\n%s", p.caption, p.name, text)
		if err := os.WriteFile(filepath.Join(docs, p.name+".svg"), []byte(svg), 0o644); err != nil {
			return err
		}
	}
	next, err := report.Insert(string(old), p.begin, text)
	if err != nil {
		return err
	}
	return os.WriteFile(document, []byte(next), 0o644)
}
