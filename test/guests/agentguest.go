package guests

import (
	"bufio"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/panalvm/panal/test/guests/internal/apt"
	"github.com/panalvm/panal/test/guests/internal/cpio"
)

// The tiny guest with QEMU's agent is the tiny guest of x86_64 with more in its initramfs: the kernel unpacks archives
// that stand one after another, and what a later one has replaces what an earlier one had. So the tiny guest is the same
// with and without it.
const (
	agentGuestName   = "agent-x86_64"
	agentGuestArch   = "x86_64"
	agentGuestDebian = "amd64"
)

// interpreter is what starts programs that are linked with shared libraries on x86_64 (System V ABI, AMD64 supplement).
const interpreter = "lib64/ld-linux-x86-64.so.2"

// agentLibraries is where the libraries go: the interpreter looks there by itself.
const agentLibraries = "lib/x86_64-linux-gnu"

// TinyWithAgent returns the tiny guest of x86_64 that runs QEMU's guest agent, and builds it first if it is not in the
// cache, as Tiny does.
func TinyWithAgent(ctx context.Context) (TinyGuest, error) {
	tiny, err := Tiny(ctx, agentGuestArch)
	if err != nil {
		return TinyGuest{}, err
	}
	build := func(ctx context.Context, work, out string) (manifest, error) {
		return buildAgentGuest(ctx, tiny, work, out)
	}
	dir, err := ensure(ctx, agentGuestName, agentGuestDigest(tiny), build)
	if err != nil {
		return TinyGuest{}, fmt.Errorf("build guest %s: %w", agentGuestName, err)
	}
	return openAgentGuest(tiny, dir)
}

// LookupTinyWithAgent is TinyWithAgent for a guest already built. It returns ErrNotBuilt if it is not.
func LookupTinyWithAgent() (TinyGuest, error) {
	tiny, err := LookupTiny(agentGuestArch)
	if err != nil {
		return TinyGuest{}, err
	}
	dir, err := lookup(agentGuestName, agentGuestDigest(tiny))
	if err != nil {
		return TinyGuest{}, err
	}
	return openAgentGuest(tiny, dir)
}

// agentGuestDigest covers the tiny guest that it stands on, whose directory has the digests of recipe and packages.
func agentGuestDigest(tiny TinyGuest) string {
	return treeDigest(files, "files/qga", filepath.Base(filepath.Dir(tiny.Initrd)))
}

func openAgentGuest(tiny TinyGuest, dir string) (TinyGuest, error) {
	m, err := readManifest(dir)
	tiny.Initrd, tiny.Packages = filepath.Join(dir, tinyInitrd), m.Packages
	return tiny, err
}

func buildAgentGuest(ctx context.Context, tiny TinyGuest, work, out string) (manifest, error) {
	root, err := apt.NewRoot(ctx, filepath.Join(work, "apt"), apt.HostMirror(ctx), apt.Bookworm, agentGuestDebian)
	if err != nil {
		return manifest{}, err
	}
	made := manifest{Packages: tiny.Packages, Missing: tiny.Missing}
	unpacked := filepath.Join(work, "root")
	for _, name := range listed("qga/packages") {
		p, err := root.Candidate(ctx, name)
		if err != nil {
			return manifest{}, err
		}
		if err := root.Unpack(ctx, p, unpacked); err != nil {
			return manifest{}, err
		}
		made.Packages = append(made.Packages, p.String())
	}
	if err := writeAgentInitrd(tiny.Initrd, unpacked, filepath.Join(out, tinyInitrd)); err != nil {
		return manifest{}, fmt.Errorf("write the initramfs: %w", err)
	}
	return made, nil
}

// writeAgentInitrd writes the tiny guest's initramfs and then what is added to it.
func writeAgentInitrd(tiny, unpacked, path string) error {
	libraries, err := neededLibraries(unpacked, "usr/sbin/qemu-ga")
	if err != nil {
		return err
	}
	before, err := os.Open(tiny)
	if err != nil {
		return err
	}
	defer before.Close()
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	buffered := bufio.NewWriterSize(file, 1<<20)
	if _, err := io.Copy(buffered, before); err != nil {
		return err
	}
	if err := addAgent(cpio.NewWriter(buffered), unpacked, libraries); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	return file.Close()
}

// addAgent writes the members. The writer keeps its first error, which Close returns.
func addAgent(w *cpio.Writer, unpacked string, libraries map[string]string) error {
	for _, dir := range []string{"lib64", agentLibraries} {
		w.Directory(dir, 0o755) //nolint:errcheck // see above
	}
	members := map[string]string{"bin/qemu-ga": filepath.Join(unpacked, "usr/sbin/qemu-ga")}
	for name, file := range libraries {
		members[filepath.Join(agentLibraries, name)] = file
	}
	members[interpreter] = libraries[filepath.Base(interpreter)]
	for _, name := range slices.Sorted(maps.Keys(members)) {
		content, err := os.ReadFile(members[name])
		if err != nil {
			return err
		}
		w.File(name, 0o755, content) //nolint:errcheck
	}
	w.File("etc/inittab", 0o644, mustFile("qga/inittab")) //nolint:errcheck
	w.File("etc/qga", 0o755, mustFile("qga/qga"))         //nolint:errcheck
	return w.Close()
}

// neededLibraries finds the shared libraries that a program needs, and those that they need, among the files of
// unpacked packages: by the name that programs ask for, the file.
func neededLibraries(unpacked, program string) (map[string]string, error) {
	have, err := libraryFiles(unpacked)
	if err != nil {
		return nil, err
	}
	needed := map[string]string{}
	for todo := []string{filepath.Join(unpacked, program)}; len(todo) > 0; todo = todo[1:] {
		names, err := imported(todo[0])
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if needed[name] != "" {
				continue
			}
			if have[name] == "" {
				return nil, fmt.Errorf("%s needs %s, which no package in files/qga/packages brings", filepath.Base(todo[0]), name)
			}
			needed[name] = have[name]
			todo = append(todo, have[name])
		}
	}
	if needed[filepath.Base(interpreter)] == "" {
		return nil, errors.New("nothing asks for the interpreter of dynamic programs")
	}
	return needed, nil
}

// libraryFiles are the files whose names are those of shared libraries, by name.
func libraryFiles(dir string) (map[string]string, error) {
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		// A link's target may be absolute, and then it is not this tree's.
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			found[entry.Name()] = path
		}
		return nil
	})
	return found, err
}

// imported lists the libraries that a program or library is linked with.
func imported(path string) ([]string, error) {
	file, err := elf.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	defer file.Close()
	return file.ImportedLibraries()
}
