// Package hostdisk tells what the host does with its own disks, so that a
// machine is not given one that the host uses: two that write a file system and do not
// know of each other ruin it.
//
// What the kernel knows is read from its own files:
//
//	/proc/self/mountinfo          mounted file systems, by device number
//	/proc/swaps                   swap, by path
//	/sys/dev/block/M:N/holders/   what stands on it: LVM, MD, dm-crypt, bcache, multipath
//	/sys/dev/block/M:N/*/dev      its partitions, of which the same is asked
package hostdisk

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Use says what the host uses a block device, or a partition of it, for; empty when it
// is free, or no block device at all.
func Use(path string) (string, error) {
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return "", &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFBLK {
		return "", nil
	}
	return host{"/"}.use(number(stat.Rdev))
}

func number(device uint64) string {
	return fmt.Sprintf("%d:%d", unix.Major(device), unix.Minor(device))
}

// host is where the kernel's files are.
type host struct{ root string }

// use looks at a device and its partitions.
func (h host) use(device string) (string, error) {
	parts, err := h.partitions(device)
	if err != nil {
		return "", err
	}
	for _, one := range append([]string{device}, parts...) {
		for _, look := range []func(string) (string, error){h.mounted, h.swap, h.held} {
			if use, err := look(one); use != "" || err != nil {
				return use, err
			}
		}
	}
	return "", nil
}

func (h host) sys(device string, elements ...string) string {
	return filepath.Join(append([]string{h.root, "sys/dev/block", device}, elements...)...)
}

// name is what people call a device.
func (h host) name(device string) string {
	target, err := filepath.EvalSymlinks(h.sys(device))
	if err != nil {
		return device
	}
	return "/dev/" + filepath.Base(target)
}

// partitions are the numbers of a disk's partitions.
func (h host) partitions(device string) ([]string, error) {
	entries, err := os.ReadDir(h.sys(device))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var parts []string
	for _, entry := range entries {
		if _, err := os.Stat(h.sys(device, entry.Name(), "partition")); err != nil {
			continue
		}
		text, err := os.ReadFile(h.sys(device, entry.Name(), "dev"))
		if err != nil {
			return nil, err
		}
		parts = append(parts, strings.TrimSpace(string(text)))
	}
	return parts, err
}

// mounted looks for a mount of a device (proc(5): the third field is its number, the
// fifth where it is).
func (h host) mounted(device string) (string, error) {
	return h.inLines("proc/self/mountinfo", func(fields []string) string {
		if len(fields) > 4 && fields[2] == device {
			return fmt.Sprintf("%s is mounted at %s", h.name(device), fields[4])
		}
		return ""
	})
}

// swap looks for a device among those that the host swaps to.
func (h host) swap(device string) (string, error) {
	return h.inLines("proc/swaps", func(fields []string) string {
		if len(fields) > 0 && fields[0] == h.name(device) {
			return fields[0] + " is swap"
		}
		return ""
	})
}

// inLines gives the first use that is found in a line of a file.
func (h host) inLines(file string, find func([]string) string) (string, error) {
	opened, err := os.Open(filepath.Join(h.root, file))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer opened.Close()
	lines := bufio.NewScanner(opened)
	for lines.Scan() {
		if use := find(strings.Fields(lines.Text())); use != "" {
			return use, nil
		}
	}
	return "", lines.Err()
}

// held looks for what stands on a device.
func (h host) held(device string) (string, error) {
	entries, err := os.ReadDir(h.sys(device, "holders"))
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s is part of /dev/%s (LVM, RAID, encryption or the like)", h.name(device), entries[0].Name()), nil
}
