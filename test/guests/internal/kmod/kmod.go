// Package kmod chooses kernel modules out of an unpacked kernel package: those asked for by name and all they depend
// on, with the indexes modprobe reads.
//
// Debian's kernel packages carry no modules.dep (depmod makes it at installation), so the dependencies come from where
// depmod takes the names: the .modinfo section each module carries, a list of NUL-ended "key=value" strings.
package kmod

import (
	"bufio"
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Module is one module, ready to be put into an initramfs.
type Module struct {
	// Name is the module's, with underscores.
	Name string
	// Content is the uncompressed ELF file.
	Content []byte
	// Depends are the names of the modules that have to be loaded before.
	Depends []string
	// Aliases are the patterns of device identities the module serves.
	Aliases []string
	// softdeps are modules to be loaded before it where they exist.
	softdeps []string
}

// Tree is the /lib/modules/VERSION directory of one kernel.
type Tree struct {
	// Version is the kernel's release, the name of the directory.
	Version string

	files    map[string]string // module name to file
	builtins map[string]bool   // names of modules that are part of the kernel
}

// Open reads the list of modules below root/lib/modules or root/usr/lib/modules, where exactly one kernel must lie.
func Open(root string) (*Tree, error) {
	var found []string
	for _, pattern := range []string{"lib/modules/*", "usr/lib/modules/*"} {
		matches, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return nil, fmt.Errorf("look for kernel modules in %s: %w", root, err)
		}
		found = append(found, matches...)
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("look for kernel modules in %s: %d kernels instead of one", root, len(found))
	}
	t := &Tree{Version: filepath.Base(found[0]), files: map[string]string{}, builtins: map[string]bool{}}
	if err := t.readBuiltins(filepath.Join(found[0], "modules.builtin")); err != nil {
		return nil, err
	}
	return t, t.readFiles(found[0])
}

func (t *Tree) readBuiltins(path string) error {
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the kernel's list of built-in modules: %w", err)
	}
	for line := range strings.Lines(string(content)) {
		t.builtins[moduleName(strings.TrimSpace(line))] = true
	}
	return nil
}

func (t *Tree) readFiles(dir string) error {
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() && strings.Contains(entry.Name(), ".ko") {
			t.files[moduleName(path)] = path
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("list kernel modules: %w", err)
	}
	return nil
}

// moduleName is the name the kernel gives the module in a file.
func moduleName(path string) string {
	name, _, _ := strings.Cut(filepath.Base(path), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// Select returns the named modules and everything they depend on, each after its dependencies, and the names of those
// this kernel has neither as a module nor built in.
func (t *Tree) Select(ctx context.Context, names []string) (modules []Module, missing []string, err error) {
	s := selection{ctx: ctx, tree: t, seen: map[string]bool{}}
	for _, name := range names {
		if err := s.add(strings.ReplaceAll(name, "-", "_")); err != nil {
			return nil, nil, err
		}
	}
	return s.modules, s.missing, nil
}

// selection is the depth-first walk behind Select.
type selection struct {
	ctx     context.Context
	tree    *Tree
	seen    map[string]bool
	modules []Module
	missing []string
}

func (s *selection) add(name string) error {
	if s.seen[name] || s.tree.builtins[name] {
		return nil
	}
	s.seen[name] = true
	path, ok := s.tree.files[name]
	if !ok {
		s.missing = append(s.missing, name)
		return nil
	}
	module, err := load(s.ctx, name, path)
	if err != nil {
		return err
	}
	for _, dependency := range slices.Concat(module.Depends, s.present(module.softdeps)) {
		if err := s.add(dependency); err != nil {
			return err
		}
	}
	s.modules = append(s.modules, module)
	return nil
}

// present keeps the modules that exist: a soft dependency may be an alias or absent.
func (s *selection) present(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return s.tree.files[name] == "" })
}

// load reads a module, uncompressed whatever its file is.
func load(ctx context.Context, name, path string) (Module, error) {
	content, err := os.ReadFile(path)
	if err == nil && strings.HasSuffix(path, ".xz") {
		cmd := exec.CommandContext(ctx, "xz", "--decompress", "--stdout")
		cmd.Stdin = bytes.NewReader(content)
		content, err = cmd.Output()
	}
	if err != nil {
		return Module{}, fmt.Errorf("read kernel module %s: %w", name, err)
	}
	module := Module{Name: name, Content: unsigned(content)}
	if err := module.readInfo(); err != nil {
		return Module{}, fmt.Errorf("read kernel module %s: %w", name, err)
	}
	return module, nil
}

// signatureEnd is what a signed module ends with.
const signatureEnd = "~Module signature appended~\n"

// unsigned is a module without its signature, which an emulated processor takes long to check: the kernel takes
// modules without one unless it was booted securely. Before the end stands struct module_signature, of 12 bytes, the last
// four of which are the signature's length.
func unsigned(content []byte) []byte {
	rest, signed := bytes.CutSuffix(content, []byte(signatureEnd))
	if !signed || len(rest) < 12 {
		return content
	}
	length := 12 + int64(binary.BigEndian.Uint32(rest[len(rest)-4:]))
	if length > int64(len(rest)) {
		return content
	}
	return rest[:int64(len(rest))-length]
}

func (m *Module) readInfo() error {
	file, err := elf.NewFile(bytes.NewReader(m.Content))
	if err != nil {
		return err
	}
	section := file.Section(".modinfo")
	if section == nil {
		return errors.New("no .modinfo section")
	}
	info, err := section.Data()
	if err != nil {
		return err
	}
	for entry := range bytes.SplitSeq(info, []byte{0}) {
		key, value, _ := strings.Cut(string(entry), "=")
		m.note(key, value)
	}
	return nil
}

// note takes in one entry of .modinfo.
func (m *Module) note(key, value string) {
	switch key {
	case "alias":
		m.Aliases = append(m.Aliases, value)
	case "depends":
		for name := range strings.SplitSeq(value, ",") {
			if name != "" {
				m.Depends = append(m.Depends, strings.ReplaceAll(name, "-", "_"))
			}
		}
	case "softdep":
		if names, ok := strings.CutPrefix(value, "pre: "); ok {
			m.softdeps = append(m.softdeps, strings.Fields(strings.ReplaceAll(names, "-", "_"))...)
		}
	}
}

// DepIndex is the content of modules.dep for modules that lie as NAME.ko beside it: each with everything it needs,
// direct or not, the nearest first, as modprobe wants it.
func DepIndex(modules []Module) []byte {
	byName := map[string]Module{}
	for _, module := range modules {
		byName[module.Name] = module
	}
	var out bytes.Buffer
	w := bufio.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		fmt.Fprintf(w, "%s.ko:", name)
		for _, dependency := range needs(byName, name) {
			fmt.Fprintf(w, " %s.ko", dependency)
		}
		fmt.Fprintln(w)
	}
	w.Flush()
	return out.Bytes()
}

// needs lists what a module needs, each before what that needs in turn.
func needs(byName map[string]Module, name string) []string {
	var order []string // dependencies first
	seen := map[string]bool{name: true}
	var visit func(string)
	visit = func(name string) {
		for _, dependency := range byName[name].Depends {
			if _, chosen := byName[dependency]; chosen && !seen[dependency] {
				seen[dependency] = true
				visit(dependency)
				order = append(order, dependency)
			}
		}
	}
	visit(name)
	slices.Reverse(order)
	return order
}

// AliasIndex is the content of modules.alias.
func AliasIndex(modules []Module) []byte {
	var out bytes.Buffer
	for _, module := range modules {
		for _, alias := range module.Aliases {
			fmt.Fprintf(&out, "alias %s %s\n", alias, module.Name)
		}
	}
	return out.Bytes()
}
