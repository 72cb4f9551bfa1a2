package image

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
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

// writeSBOM lists what is in the image: Debian's packages, and the Go modules of the programs.
func (o Options) writeSBOM(file string) error {
	all := []spdxPackage{{
		Name: "landbridge", ID: "SPDXRef-landbridge", Version: o.Version, Declared: "Apache-2.0",
	}}
	for _, p := range packages() {
		all = append(all, spdxPackage{
			Name: p.Name, Version: p.Version, Declared: p.Licence, Checksums: []spdxChecksum{{"SHA256", p.SHA256}},
			External: []spdxExternal{{"PACKAGE-MANAGER", "purl", "pkg:deb/debian/" + p.Name + "@" + strings.ReplaceAll(p.Version, "+", "%2B") + "?distro=bookworm"}},
		})
	}
	modules := map[string]string{}
	for _, program := range []string{o.Landbridge, o.Init} {
		info, err := buildinfo.ReadFile(program)
		if err != nil {
			return fmt.Errorf("which modules are in %s: %w", program, err)
		}
		for _, m := range info.Deps {
			modules[m.Path] = m.Version
		}
		modules["stdlib"] = strings.TrimPrefix(info.GoVersion, "go")
	}
	var paths []string
	for p := range modules {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	for _, p := range paths {
		all = append(all, spdxPackage{
			Name: p, Version: modules[p], Declared: noAssertion, External: []spdxExternal{{"PACKAGE-MANAGER", "purl", "pkg:golang/" + p + "@" + modules[p]}},
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
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
