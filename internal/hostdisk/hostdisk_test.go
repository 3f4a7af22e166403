package hostdisk

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// computer makes the kernel's files of a computer with two disks: 8:0 with the
// partitions 8:1 and 8:2, and 8:16.
func computer(t *testing.T, files map[string]string) host {
	t.Helper()
	h := host{t.TempDir()}
	all := map[string]string{
		"sys/devices/sda/dev": "8:0\n", "sys/devices/sda/sda1/dev": "8:1\n", "sys/devices/sda/sda1/partition": "1\n",
		"sys/devices/sda/sda2/dev": "8:2\n", "sys/devices/sda/sda2/partition": "2\n", "sys/devices/sdb/dev": "8:16\n",
	}
	for name, text := range files {
		all[name] = text
	}
	for name, text := range all {
		path := filepath.Join(h.root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(h.root, "sys/dev/block"), 0o755); err != nil {
		t.Fatal(err)
	}
	for number, dir := range map[string]string{"8:0": "sda", "8:1": "sda/sda1", "8:2": "sda/sda2", "8:16": "sdb"} {
		if err := os.Symlink(filepath.Join("../../devices", dir), h.sys(number)); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func TestUsesOfDisksAreFound(t *testing.T) {
	tests := []struct {
		name   string
		files  map[string]string
		device string
		want   string
	}{
		{"nothing", nil, "8:0", ""},
		{"mounted", map[string]string{"proc/self/mountinfo": "25 1 8:16 / /srv rw - ext4 /dev/sdb rw\n"}, "8:16", "/dev/sdb is mounted at /srv"},
		{"another is", map[string]string{"proc/self/mountinfo": "25 1 8:16 / /srv rw - ext4 /dev/sdb rw\n"}, "8:0", ""},
		{"a partition is", map[string]string{"proc/self/mountinfo": "25 1 8:2 / / rw - ext4 /dev/sda2 rw\n"}, "8:0", "/dev/sda2 is mounted at /"},
		{"the other partition is", map[string]string{"proc/self/mountinfo": "25 1 8:2 / / rw - ext4 /dev/sda2 rw\n"}, "8:1", ""},
		{"swap", map[string]string{"proc/swaps": "Filename Type Size\n/dev/sda1 partition 1 0 -2\n"}, "8:0", "/dev/sda1 is swap"},
		{"LVM", map[string]string{"sys/devices/sda/sda2/holders/dm-0": ""}, "8:0", "/dev/sda2 is part of /dev/dm-0"},
		{"unknown to the kernel", nil, "99:9", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			use, err := computer(t, test.files).use(test.device)
			if err != nil || !strings.HasPrefix(use, test.want) || (use == "") != (test.want == "") {
				t.Errorf("got %q, %v; want %q", use, err, test.want)
			}
		})
	}
}

// TestFilesAreNobodysDisks holds that images are not taken for devices.
func TestFilesAreNobodysDisks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if use, err := Use(path); use != "" || err != nil {
		t.Errorf("a file: %q, %v", use, err)
	}
	if _, err := Use(path + "x"); err == nil {
		t.Error("what is not there is no error")
	}
}
