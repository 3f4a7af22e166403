// Package testenv tells a test what the computer it runs on can do.
//
// Many tests drive real programs: QEMU, qemu-img, swtpm, systemd-analyze. On a contributor's computer a missing one is a
// skip that names the program and how to get it; in CI, where the environment variable CI is "true", it is a failure,
// so that a test that never runs is noticed.
package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// InCI reports whether this is a CI run, in which nothing may be skipped for want of a program. .ci/run and every
// hosted CI system set CI=true.
func InCI() bool {
	return os.Getenv("CI") == "true"
}

// Need returns the path of a program. If it is not to be found, the test is skipped with the name of the program and of
// the package that brings it; in CI it fails instead. The directories for administrators' programs are looked through
// even if PATH lacks them, as a user's does on Debian.
func Need(t testing.TB, program string) string {
	t.Helper()
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return path
		}
	}
	Missing(t, program+" is not installed: "+advice(program))
	return ""
}

// Missing ends a test that lacks something of the computer it runs on: skipped locally, failed in CI. The reason says
// what is missing and how to get it.
func Missing(t testing.TB, reason string) {
	t.Helper()
	if InCI() {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

// SocketDir returns an empty directory, removed with the test, whose path is short enough for Unix sockets: the kernel
// takes 107 bytes, and t.TempDir spends most of them on the test's name. About 80 bytes are left for the socket's
// own path, unless TMPDIR itself is long, in which case the directory is made below /tmp.
func SocketDir(t testing.TB) string {
	t.Helper()
	const most = 24
	parent := os.TempDir()
	if len(parent) > most {
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, "pt")
	if err != nil {
		t.Fatalf("make a directory for sockets: %v", err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove the directory for sockets: %v", err)
		}
	})
	return dir
}
