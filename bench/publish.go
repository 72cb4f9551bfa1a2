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
	style := report.Style{Reference: peers.WireGuardGo}
	for _, k := range peers.All() {
		style.Order = append(style.Order, k.Name)
		if k.Plain {
			style.Plain = append(style.Plain, k.Name)
		}
	}
	text, err := report.Markdown(data, style)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(o.out, "report.md"), []byte(text), 0o644); err != nil {
		return err
	}
	svg, err := plot(data, style)
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
	return insert(o.docs, text, svg)
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
func insert(docs, text, svg string) error {
	document := filepath.Join(docs, "performance.md")
	old, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	if svg != "" {
		text = "![Landbridge beside other tunnels](performance.svg)\n\n" + text
		if err := os.WriteFile(filepath.Join(docs, "performance.svg"), []byte(svg), 0o644); err != nil {
			return err
		}
	}
	next, err := report.Insert(string(old), text)
	if err != nil {
		return err
	}
	return os.WriteFile(document, []byte(next), 0o644)
}
