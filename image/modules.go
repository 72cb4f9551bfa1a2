package image

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// wantedFirst names the kernel modules of the initramfs: what a machine may have its disk by. A slot has
// none of them but what its others need.
func wantedFirst() []string {
	return []string{
		"virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod", "sr_mod", "ahci", "ata_piix", "nvme", "vmw_pvscsi", "hv_storvsc", "xen_blkfront",
		"squashfs",
	}
}

// wanted names the kernel modules of a slot. What they depend on comes with them.
func wanted() []string {
	return slices.Concat(
		[]string{"virtio_net", "vmxnet3", "hv_netvsc", "ena", "gve", "xen_netfront"},                                    // networks
		[]string{"virtio_pci", "virtio_rng", "qemu_fw_cfg", "evdev", "button", "i6300esb", "softdog", "efivarfs"},       // machines
		[]string{"isofs", "vfat", "nls_cp437", "nls_ascii", "nls_utf8", "nls_iso8859_1"},                                // file systems
		[]string{"tun", "bridge", "veth", "8021q", "vxlan", "macvlan", "wireguard", "dummy"},                            // links
		[]string{"nf_tables", "nft_chain_nat", "nft_masq", "nft_nat", "nft_redir", "nft_ct", "nft_reject_inet"},         // firewall
		[]string{"nft_limit", "nft_log", "nft_fib_inet", "br_netfilter"},                                                // firewall
		[]string{"sch_netem", "sch_ingress", "sch_fq", "sch_tbf", "sch_htb", "cls_u32", "act_mirred", "ifb", "tcp_bbr"}, // queues
	)
}

// modules is a kernel's modules as depmod describes them.
type modules struct {
	dir   string              // of lib/modules/RELEASE
	deps  map[string][]string // path below dir -> paths of what it needs
	named map[string]string   // module's name -> path
	built map[string]bool     // names of what is in the kernel itself
}

// readModules has depmod describe the modules below root, which the package doesn't.
func readModules(ctx context.Context, root string) (*modules, error) {
	if err := run(ctx, root, nil, "depmod", "-b", root, kernelRelease); err != nil {
		return nil, err
	}
	m := &modules{
		dir: filepath.Join(root, "lib", "modules", kernelRelease), deps: map[string][]string{}, named: map[string]string{}, built: map[string]bool{},
	}
	for line, err := range lines(filepath.Join(m.dir, "modules.dep")) {
		if err != nil {
			return nil, err
		}
		file, needs, _ := strings.Cut(line, ":")
		m.deps[file] = strings.Fields(needs)
		m.named[moduleName(file)] = file
	}
	for line, err := range lines(filepath.Join(m.dir, "modules.builtin")) {
		if err != nil {
			return nil, err
		}
		m.built[moduleName(line)] = true
	}
	return m, nil
}

// moduleName returns what the kernel calls the module in a file.
func moduleName(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".")
	return strings.ReplaceAll(name, "-", "_")
}

// closure returns the files of the modules and of all that they need, sorted.
func (m *modules) closure(names []string) ([]string, error) {
	var all []string
	var add func(file string)
	add = func(file string) {
		if slices.Contains(all, file) {
			return
		}
		all = append(all, file)
		for _, need := range m.deps[file] {
			add(need)
		}
	}
	for _, name := range names {
		file, ok := m.named[name]
		if !ok && !m.built[name] {
			return nil, fmt.Errorf("the kernel %s has no module %s", kernelRelease, name)
		}
		if ok {
			add(file)
		}
	}
	slices.Sort(all)
	return all, nil
}

// tables returns modules.dep and modules.alias of these files alone, as package pid1 reads them:
// by name, without directories.
func (m *modules) tables(files []string) (dep, alias []byte, err error) {
	in := map[string]bool{}
	var deps, aliases bytes.Buffer
	for _, f := range files {
		in[moduleName(f)] = true
		fmt.Fprintf(&deps, "%s:", moduleName(f))
		for _, need := range m.deps[f] {
			fmt.Fprintf(&deps, " %s", moduleName(need))
		}
		deps.WriteByte('\n')
	}
	var kept []string
	for line, err := range lines(filepath.Join(m.dir, "modules.alias")) {
		if err != nil {
			return nil, nil, err
		}
		if words := strings.Fields(line); len(words) == 3 && in[words[2]] {
			kept = append(kept, words[1]+" "+words[2])
		}
	}
	slices.Sort(kept)
	for _, k := range slices.Compact(kept) {
		aliases.WriteString(k + "\n")
	}
	return deps.Bytes(), aliases.Bytes(), nil
}

// lines yields the lines of a file that aren't comments.
func lines(name string) func(yield func(string, error) bool) {
	return func(yield func(string, error) bool) {
		f, err := os.Open(name)
		if err != nil {
			yield("", err)
			return
		}
		defer f.Close()
		s := bufio.NewScanner(f)
		for s.Scan() {
			if line := s.Text(); line != "" && line[0] != '#' && !yield(line, nil) {
				return
			}
		}
		if err := s.Err(); err != nil {
			yield("", fmt.Errorf("read %s: %w", name, err))
		}
	}
}
