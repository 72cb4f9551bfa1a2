package hardware

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// ModulesDir has modules.dep, modules.alias and NAME.ko, as package image writes them.
const ModulesDir = "/lib/modules"

// Modules loads kernel modules, with what they need, each once.
type Modules struct {
	deps    map[string][]string // module -> what it needs, in modprobe's order: last first
	aliases []alias
	load    func(name string) error

	mu     sync.Mutex
	loaded map[string]bool
}

// alias is a pattern of what hardware says of itself, and the module for that.
type alias struct{ pattern, module string }

// OpenModules reads the tables in dir.
func OpenModules(dir string) (*Modules, error) {
	dep, err := os.ReadFile(filepath.Join(dir, "modules.dep"))
	if err != nil {
		return nil, err
	}
	table, err := os.ReadFile(filepath.Join(dir, "modules.alias"))
	if err != nil {
		return nil, err
	}
	return newModules(dep, table, func(name string) error { return insert(filepath.Join(dir, name+".ko")) }), nil
}

func newModules(dep, table []byte, load func(string) error) *Modules {
	m := &Modules{deps: map[string][]string{}, load: load, loaded: map[string]bool{}}
	for s := bufio.NewScanner(bytes.NewReader(dep)); s.Scan(); {
		if name, needs, ok := strings.Cut(s.Text(), ":"); ok {
			m.deps[name] = strings.Fields(needs)
		}
	}
	for s := bufio.NewScanner(bytes.NewReader(table)); s.Scan(); {
		if pattern, module, ok := strings.Cut(s.Text(), " "); ok {
			m.aliases = append(m.aliases, alias{pattern, module})
		}
	}
	return m
}

// insert gives a module's file to the kernel. A driver without its hardware is no error, nor is a module
// that another has loaded before.
func insert(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.FinitModule(int(f.Fd()), "", 0)
	if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

// Load loads the module of this name, or those whose alias matches it. It isn't an error that
// there is none: most hardware has no driver here, and needs none.
func (m *Modules) Load(name string) error {
	name = strings.TrimSpace(name)
	if plain := strings.ReplaceAll(name, "-", "_"); m.has(plain) {
		return m.insert(plain, 0)
	}
	var all []error
	for _, a := range m.aliases {
		if ok, err := path.Match(a.pattern, name); err == nil && ok {
			all = append(all, m.insert(a.module, 0))
		}
	}
	return errors.Join(all...)
}

func (m *Modules) has(name string) bool {
	_, ok := m.deps[name]
	return ok
}

// insert loads a module after what it needs. The depth bounds a table that goes in circles.
func (m *Modules) insert(name string, depth int) error {
	m.mu.Lock()
	done := m.loaded[name]
	m.loaded[name] = true
	m.mu.Unlock()
	if done || depth > 16 {
		return nil
	}
	needs := m.deps[name]
	for i := len(needs) - 1; i >= 0; i-- {
		if err := m.insert(needs[i], depth+1); err != nil {
			return err
		}
	}
	if err := m.load(name); err != nil {
		return fmt.Errorf("module %s: %w", name, err)
	}
	return nil
}

// LoadAll loads what the hardware below root (/sys/devices) asks for. What comes up only then is
// looked at in turn.
func (m *Modules) LoadAll(root string) error {
	seen := map[string]bool{}
	var all []error
	for {
		var found []string
		_ = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || d.Name() != "modalias" {
				return nil // what vanishes meanwhile, and what isn't a device's word
			}
			if text, err := os.ReadFile(name); err == nil && !seen[string(text)] {
				seen[string(text)] = true
				found = append(found, string(text))
			}
			return nil
		})
		if len(found) == 0 {
			return errors.Join(all...)
		}
		for _, f := range found {
			all = append(all, m.Load(f))
		}
	}
}
