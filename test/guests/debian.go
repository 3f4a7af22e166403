package guests

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/panalvm/panal/test/guests/internal/apt"
)

const (
	debianName    = "debian"
	debianImage   = "debian.qcow2"
	debianRelease = apt.Bookworm
	debianArch    = "amd64"
)

// patience is how long mmdebstrap has to undo its mounts once it is told to end.
const patience = 20 * time.Second

func debianDigest() string { return treeDigest(files, "files/debian") }

// buildDebian is the Debian guest's builder: mmdebstrap makes a tar archive of the system, mke2fs a file system of
// that, and the rest of the disk is put around it. Nothing is mounted but by mmdebstrap, and no loop device is needed.
func buildDebian(ctx context.Context, work, out string) (manifest, error) {
	scripts := filepath.Join(work, "scripts")
	if err := copyScripts(scripts); err != nil {
		return manifest{}, err
	}
	archive := filepath.Join(work, "root.tar")
	if err := bootstrap(ctx, scripts, archive); err != nil {
		return manifest{}, err
	}
	d := disk{path: filepath.Join(work, "disk.raw"), root: filepath.Join(work, "root"), scripts: scripts}
	if err := d.make(ctx, archive); err != nil {
		return manifest{}, err
	}
	err := runTool(ctx, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", d.path, filepath.Join(out, debianImage))
	if err != nil {
		return manifest{}, fmt.Errorf("convert the disk: %w", err)
	}
	packages, err := installedPackages(filepath.Join(d.root, "var/lib/dpkg/status"))
	return manifest{Packages: packages}, err
}

// copyScripts writes the embedded scripts where programs can run them.
func copyScripts(dir string) error {
	sub, err := fs.Sub(files, "files/debian")
	if err == nil {
		err = os.CopyFS(dir, sub)
	}
	if err != nil {
		return fmt.Errorf("lay out the scripts of the Debian guest: %w", err)
	}
	return nil
}

// bootstrap makes the archive of the whole system.
func bootstrap(ctx context.Context, scripts, archive string) error {
	args := []string{
		"--variant=minbase", "--format=tar", "--architectures=" + debianArch, "--mode=" + bootstrapMode(),
		"--include=" + strings.Join(listed("debian/packages"), ","),
		"--essential-hook=sh " + scripts + "/essential.sh \"$1\"",
		"--customize-hook=sh " + scripts + "/customize.sh \"$1\"",
	}
	for _, pattern := range listed("debian/excludes") {
		args = append(args, "--dpkgopt=path-exclude="+pattern)
	}
	args = append(args, string(debianRelease), archive, apt.HostMirror(ctx).Source(debianRelease))
	cmd := tool(ctx, "mmdebstrap", args...)
	cmd.Env = append(cmd.Env, "ROOT_UUID="+rootUUID, "ESP_UUID="+espID[:4]+"-"+espID[4:])
	if os.Getenv("TMPDIR") == "" {
		cmd.Env = append(cmd.Env, "TMPDIR=/var/tmp") // a gigabyte is too much for a /tmp in memory
	}
	if err := runCommand(cmd); err != nil {
		return fmt.Errorf("install the Debian guest: %w", err)
	}
	return nil
}

// bootstrapMode is how mmdebstrap gets a system with the right owners.
func bootstrapMode() string {
	if os.Geteuid() == 0 {
		return "root"
	}
	return "unshare"
}

// installedPackages reads dpkg's status file: paragraphs of which the fields Package and Version count.
func installedPackages(path string) ([]string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("list the guest's packages: %w", err)
	}
	var packages []string
	var name string
	for lines := bufio.NewScanner(bytes.NewReader(content)); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "Package: "); ok {
			name = value
		}
		if value, ok := strings.CutPrefix(lines.Text(), "Version: "); ok {
			packages = append(packages, name+"="+value)
		}
	}
	if len(packages) == 0 {
		return nil, errors.New("list the guest's packages: there are none")
	}
	slices.Sort(packages)
	return packages, nil
}

// tool prepares a program of the host. It is asked to end, not killed, so that it can clear up. Its locale and time
// zone are plain, and the directories of administrators' programs are in its path, as they are not for Debian's users.
func tool(ctx context.Context, name string, args ...string) *exec.Cmd {
	path := os.Getenv("PATH") + ":/usr/local/sbin:/usr/sbin:/sbin"
	for _, dir := range filepath.SplitList(path) {
		if full, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			name = full
			break
		}
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "PATH="+path, "LC_ALL=C.UTF-8", "TZ=UTC")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = patience
	return cmd
}

func runTool(ctx context.Context, name string, args ...string) error {
	return runCommand(tool(ctx, name, args...))
}

// runCommand runs a program; its error has the end of what the program said.
func runCommand(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	const enough = 4000
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%w: `go run ./test/guests/cmd/guests packages` lists what building needs", err)
	}
	return fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, bytes.TrimSpace(out[max(0, len(out)-enough):]))
}
