package image

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// account writes what is in the image, and under which licences. root has the contents of
// Debian's packages.
func (o Options) account(ctx context.Context, root string) error {
	modules, err := o.goModules()
	if err != nil {
		return err
	}
	list, err := o.sbom(modules)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(o.Out, SBOMName), list, 0o644); err != nil {
		return err
	}
	dirs, err := moduleDirs(ctx)
	if err != nil {
		return err
	}
	text, err := licences(root, modules, dirs)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(o.Out, LicencesName), text, 0o644)
}

// moduleDirs returns where the Go modules of this build are.
func moduleDirs(ctx context.Context) (map[string]string, error) {
	list, err := filter(ctx, nil, "go", "list", "-m", "-f", "{{.Path}}\t{{.Dir}}", "all")
	if err != nil {
		return nil, err
	}
	root, err := filter(ctx, nil, "go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	dirs := map[string]string{"stdlib": strings.TrimSpace(string(root))}
	for line := range strings.SplitSeq(string(list), "\n") {
		if path, dir, ok := strings.Cut(line, "\t"); ok && dir != "" {
			dirs[path] = dir
		}
	}
	return dirs, nil
}

// licences returns the texts that must come with the image, and where sources are.
func licences(root string, modules []goModule, dirs map[string]string) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("This image of Landbridge (Apache License 2.0) has programs of others in it. Their licences follow.\n" +
		"The sources of Debian's packages, in just these versions, are at the addresses that are named with each.\n")
	for _, p := range packages() {
		fmt.Fprintf(&b, "\n==== Debian package %s %s\nSource: https://snapshot.debian.org/binary/%s/\n\n", p.Name, p.Version, p.Name)
		// e2fsck-static and GRUB's have links to the documents of packages that aren't in the image.
		text, err := os.ReadFile(filepath.Join(root, "usr/share/doc", p.Name, "copyright"))
		if err != nil {
			fmt.Fprintf(&b, "%s\n", p.Licence)
			continue
		}
		b.Write(text)
	}
	for _, m := range modules {
		dir, ok := dirs[m.path]
		if !ok {
			return nil, fmt.Errorf("the Go module %s isn't in the module cache: go mod download gets it", m.path)
		}
		fmt.Fprintf(&b, "\n==== Go module %s %s\n\n", m.path, m.version)
		texts, err := licenceFiles(dir)
		if err != nil {
			return nil, err
		}
		if len(texts) == 0 {
			fmt.Fprintf(&b, "It has no file with its licence; see https://pkg.go.dev/%s@%s?tab=licenses\n", m.path, m.version)
		}
		for _, t := range texts {
			b.Write(t)
			b.WriteByte('\n')
		}
	}
	return b.Bytes(), nil
}

// licenceFiles returns the licences and notices in a directory.
func licenceFiles(dir string) ([][]byte, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all [][]byte
	for _, e := range entries {
		name := strings.ToUpper(e.Name())
		known := slices.ContainsFunc([]string{"LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "PATENTS"}, func(p string) bool { return strings.HasPrefix(name, p) })
		if !known || !e.Type().IsRegular() {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, nil
}
