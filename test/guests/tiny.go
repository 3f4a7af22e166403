package guests

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/panalvm/panal/test/guests/internal/apt"
	"github.com/panalvm/panal/test/guests/internal/cpio"
	"github.com/panalvm/panal/test/guests/internal/kernelimage"
	"github.com/panalvm/panal/test/guests/internal/kmod"
)

// tinyRecipe says how the tiny guest of one architecture is made.
type tinyRecipe struct {
	arch    string // QEMU's name of the architecture
	debian  string // Debian's
	golang  string // Go's
	release apt.Release
	kernel  string // the package that stands for the newest kernel
	console string // what the kernel calls the first serial line
	payload bool   // the kernel packs itself, and an unpacked one starts faster
	options string // for its kernel, besides tinyOptions
}

// tinyRecipes are all there are. The kernels are the general ones rather than those for clouds: these lack SATA, USB
// and every emulated adapter but virtio's. Debian has riscv64 from trixie on.
var tinyRecipes = []tinyRecipe{
	{"x86_64", "amd64", "amd64", apt.Bookworm, "linux-image-amd64", "ttyS0", true, fastStrings},
	{"aarch64", "arm64", "arm64", apt.Bookworm, "linux-image-arm64", "ttyAMA0", false, ""},
	{"riscv64", "riscv64", "riscv64", apt.Trixie, "linux-image-riscv64", "ttyS0", false, ""},
}

// tinyOptions spare the kernel what takes an emulated processor long and no test needs: guards against what real processors
// leak, security modules, tests of its own ciphers, and protection of its own code. They take an eighth off the start.
const tinyOptions = "mitigations=off lsm= cryptomgr.notests rodata=off"

// fastStrings keeps the kernel from clearing and copying memory by instructions that real processors are fast at and that
// TCG carries out byte by byte. They take a tenth off the start.
const fastStrings = "clearcpuid=erms,fsrm"

// The files of a tiny guest.
const (
	tinyKernel    = "kernel"
	tinyEFIKernel = "kernel.efi"
	tinyInitrd    = "initrd"
)

func (r tinyRecipe) name() string { return "tiny-" + r.arch }

func (r tinyRecipe) digest() string {
	return treeDigest(files, "files/tiny", fmt.Sprint(r), tinyOptions, treeDigest(agentSource, "agent"))
}

func (r tinyRecipe) open(dir string) (TinyGuest, error) {
	m, err := readManifest(dir)
	guest := TinyGuest{
		Arch:      r.arch,
		Kernel:    filepath.Join(dir, tinyKernel),
		EFIKernel: filepath.Join(dir, tinyKernel),
		Initrd:    filepath.Join(dir, tinyInitrd),
		Append:    strings.TrimSpace("console=" + r.console + " " + tinyOptions + " " + r.options),
		Packages:  m.Packages,
		Missing:   m.Missing,
	}
	if r.payload {
		guest.EFIKernel = filepath.Join(dir, tinyEFIKernel)
	}
	return guest, err
}

// build is the recipe's builder.
func (r tinyRecipe) build(ctx context.Context, work, out string) (manifest, error) {
	root, err := apt.NewRoot(ctx, filepath.Join(work, "apt"), apt.HostMirror(ctx), r.release, r.debian)
	if err != nil {
		return manifest{}, err
	}
	kernel, err := root.Stands(ctx, r.kernel)
	if err != nil {
		return manifest{}, err
	}
	busybox, err := root.Candidate(ctx, "busybox-static")
	if err != nil {
		return manifest{}, err
	}
	unpacked := filepath.Join(work, "root")
	for _, p := range []apt.Package{kernel, busybox} {
		if err := root.Unpack(ctx, p, unpacked); err != nil {
			return manifest{}, err
		}
	}
	if err := r.writeKernel(ctx, unpacked, out); err != nil {
		return manifest{}, err
	}
	missing, err := r.writeInitrd(ctx, work, unpacked, filepath.Join(out, tinyInitrd))
	return manifest{Packages: []string{busybox.String(), kernel.String()}, Missing: missing}, err
}

// writeKernel puts the kernel of an unpacked package into out.
func (r tinyRecipe) writeKernel(ctx context.Context, unpacked, out string) error {
	found, _ := filepath.Glob(filepath.Join(unpacked, "boot", "vmlinu[xz]-*"))
	if len(found) != 1 {
		return fmt.Errorf("find the kernel: %d files in the package's /boot instead of one", len(found))
	}
	image, err := os.ReadFile(found[0])
	if err != nil {
		return fmt.Errorf("read the kernel: %w", err)
	}
	if r.payload {
		if err := os.WriteFile(filepath.Join(out, tinyEFIKernel), image, 0o644); err != nil {
			return fmt.Errorf("write the kernel: %w", err)
		}
		if image, err = kernelimage.Vmlinux(ctx, image); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(out, tinyKernel), image, 0o644); err != nil {
		return fmt.Errorf("write the kernel: %w", err)
	}
	return nil
}

// writeInitrd makes the initramfs. It is not compressed: when emulated, reading more is quicker than unpacking.
func (r tinyRecipe) writeInitrd(ctx context.Context, work, unpacked, path string) (missing []string, err error) {
	busybox, err := findBusybox(unpacked)
	if err != nil {
		return nil, err
	}
	agent, err := compileAgent(ctx, filepath.Join(work, "agent"), r.golang)
	if err != nil {
		return nil, err
	}
	tree, err := kmod.Open(unpacked)
	if err != nil {
		return nil, err
	}
	boot, all := tinyModules()
	modules, missing, err := tree.Select(ctx, all)
	if err != nil {
		return nil, err
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("write the initramfs: %w", err)
	}
	defer file.Close()
	buffered := bufio.NewWriterSize(file, 1<<20)
	if err := fillInitrd(cpio.NewWriter(buffered), busybox, agent, tree.Version, modules, boot); err != nil {
		return nil, fmt.Errorf("write the initramfs: %w", err)
	}
	if err := buffered.Flush(); err != nil {
		return nil, fmt.Errorf("write the initramfs: %w", err)
	}
	return missing, file.Close()
}

// fillInitrd writes the members. The writer keeps its first error, which Close returns.
func fillInitrd(w *cpio.Writer, busybox, agent []byte, version string, modules []kmod.Module, boot []string) error {
	for _, dir := range []string{"bin", "dev", "etc", "lib", "lib/modules", "lib/modules/" + version} {
		w.Directory(dir, 0o755) //nolint:errcheck // see above
	}
	// The kernel opens it for the first process, before devtmpfs is there.
	w.Character("dev/console", 0o600, 5, 1)      //nolint:errcheck
	w.File("bin/busybox", 0o755, busybox)        //nolint:errcheck
	w.File("bin/agent", 0o755, agent)            //nolint:errcheck
	w.File("init", 0o755, mustFile("tiny/init")) //nolint:errcheck
	for _, name := range []string{"inittab", "rc", "udhcpc"} {
		w.File("etc/"+name, 0o755, mustFile("tiny/"+name)) //nolint:errcheck
	}
	w.File("etc/modules", 0o644, []byte(strings.Join(boot, "\n")+"\n")) //nolint:errcheck
	dir := "lib/modules/" + version + "/"
	for _, module := range modules {
		w.File(dir+module.Name+".ko", 0o644, module.Content) //nolint:errcheck
	}
	w.File(dir+"modules.dep", 0o644, kmod.DepIndex(modules))     //nolint:errcheck
	w.File(dir+"modules.alias", 0o644, kmod.AliasIndex(modules)) //nolint:errcheck
	return w.Close()
}

// tinyModules reads the list of modules: those loaded at every start, and all.
func tinyModules() (boot, all []string) {
	for _, line := range listed("tiny/modules") {
		when, name, _ := strings.Cut(line, " ")
		if when == "boot" {
			boot = append(boot, name)
		}
		all = append(all, name)
	}
	return boot, all
}

func findBusybox(unpacked string) ([]byte, error) {
	for _, dir := range []string{"bin", "usr/bin"} {
		if content, err := os.ReadFile(filepath.Join(unpacked, dir, "busybox")); err == nil {
			return content, nil
		}
	}
	return nil, fmt.Errorf("find busybox: not in the package busybox-static")
}

// compileAgent compiles the agent's embedded source in dir, so that it works from wherever the caller runs.
func compileAgent(ctx context.Context, dir, goarch string) ([]byte, error) {
	if err := os.CopyFS(dir, agentSource); err != nil {
		return nil, fmt.Errorf("compile the tiny guest's agent: %w", err)
	}
	version := strings.TrimPrefix(runtime.Version(), "go")
	if strings.Count(version, ".") > 0 {
		version = strings.Join(strings.SplitN(version, ".", 3)[:2], ".")
	}
	module := "module agent\n\ngo " + version + "\n"
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(module), 0o644); err != nil {
		return nil, fmt.Errorf("compile the tiny guest's agent: %w", err)
	}
	binary := filepath.Join(dir, "agent.bin")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, "./agent")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+goarch, "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compile the tiny guest's agent: %w: %s", err, out)
	}
	return os.ReadFile(binary)
}
