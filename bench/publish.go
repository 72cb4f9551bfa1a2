package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"landbridge/bench/peers"
	"landbridge/bench/report"
	"landbridge/bench/underlay"
)

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
	return report.Place(o.docs, p.name, p.caption, p.begin, text, svg)
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
