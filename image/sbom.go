package image

import (
	"cmp"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// spdx is the part of an SPDX 2.3 document that is written (ISO/IEC 5962).
type spdx struct {
	Version       string        `json:"spdxVersion"`
	DataLicence   string        `json:"dataLicense"`
	ID            string        `json:"SPDXID"`
	Name          string        `json:"name"`
	Namespace     string        `json:"documentNamespace"`
	Creation      spdxCreation  `json:"creationInfo"`
	Packages      []spdxPackage `json:"packages"`
	Relationships []spdxRelated `json:"relationships"`
}

type spdxCreation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type spdxPackage struct {
	Name      string         `json:"name"`
	ID        string         `json:"SPDXID"`
	Version   string         `json:"versionInfo"`
	Location  string         `json:"downloadLocation"`
	Analyzed  bool           `json:"filesAnalyzed"`
	Declared  string         `json:"licenseDeclared"`
	Concluded string         `json:"licenseConcluded"`
	Copyright string         `json:"copyrightText"`
	Checksums []spdxChecksum `json:"checksums,omitempty"`
	External  []spdxExternal `json:"externalRefs,omitempty"`
}

type spdxChecksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type spdxExternal struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type spdxRelated struct {
	From string `json:"spdxElementId"`
	Kind string `json:"relationshipType"`
	To   string `json:"relatedSpdxElement"`
}

const noAssertion = "NOASSERTION"

// goModule is a Go module that is in the program.
type goModule struct{ path, version string }

// goModules returns the modules in the program, sorted, Go's own library among them.
func (o Options) goModules() ([]goModule, error) {
	info, err := buildinfo.ReadFile(o.Program)
	if err != nil {
		return nil, fmt.Errorf("which modules are in %s: %w", o.Program, err)
	}
	all := []goModule{{"stdlib", strings.TrimPrefix(info.GoVersion, "go")}}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		all = append(all, goModule{m.Path, m.Version})
	}
	slices.SortFunc(all, func(a, b goModule) int { return cmp.Compare(a.path, b.path) })
	return all, nil
}

// sbom lists what is in the image: Debian's packages, and the Go modules of the program.
func (o Options) sbom(modules []goModule) ([]byte, error) {
	all := []spdxPackage{{
		Name: "landbridge", ID: "SPDXRef-landbridge", Version: o.Version, Declared: "Apache-2.0",
	}}
	for _, p := range packages() {
		all = append(all, spdxPackage{
			Name: p.Name, Version: p.Version, Declared: p.Licence, Checksums: []spdxChecksum{{"SHA256", p.SHA256}},
			External: []spdxExternal{{"PACKAGE-MANAGER", "purl", "pkg:deb/debian/" + p.Name + "@" + strings.ReplaceAll(p.Version, "+", "%2B") + "?distro=bookworm"}},
		})
	}
	for _, m := range modules {
		all = append(all, spdxPackage{
			Name: m.path, Version: m.version, Declared: noAssertion, External: []spdxExternal{{"PACKAGE-MANAGER", "purl", "pkg:golang/" + m.path + "@" + m.version}},
		})
	}
	doc := spdx{
		Version: "SPDX-2.3", DataLicence: "CC0-1.0", ID: "SPDXRef-DOCUMENT", Name: "landbridge-" + o.Version,
		Creation: spdxCreation{Created: o.Time.UTC().Format(time.RFC3339), Creators: []string{"Tool: landbridge-mkimage"}},
	}
	doc.Relationships = []spdxRelated{{doc.ID, "DESCRIBES", all[0].ID}}
	for i := range all {
		p := &all[i]
		p.Location, p.Concluded, p.Copyright = noAssertion, p.Declared, noAssertion
		if p.ID == "" {
			p.ID = fmt.Sprintf("SPDXRef-%d", i)
			doc.Relationships = append(doc.Relationships, spdxRelated{all[0].ID, "CONTAINS", p.ID})
		}
	}
	doc.Packages = all
	doc.Namespace = fmt.Sprintf("https://spdx.org/spdxdocs/landbridge-%x", sha256.Sum256([]byte(o.Version+doc.Creation.Created)))
	text, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(text, '\n'), nil
}
