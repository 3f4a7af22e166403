package runner

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/uuid"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/console"
	"github.com/panalvm/panal/internal/folder"
	"github.com/panalvm/panal/internal/imageserver"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/process"
	"github.com/panalvm/panal/internal/qemu"
	"github.com/panalvm/panal/internal/testenv"
)

// TestMain lets the test's program be the image server that it starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == imageserver.Command {
		os.Exit(imageserver.Run())
	}
	os.Exit(m.Run())
}

// diskSize is the size of the bench's disks.
const diskSize = 64 << 20

// capabilities are those of the QEMU that is installed, asked for once.
var capabilities = sync.OnceValues(func() (qemu.Capabilities, error) {
	binary, err := qemu.Find(api.X8664)
	if err != nil {
		return qemu.Capabilities{}, err
	}
	return qemu.Probe(context.Background(), binary)
})

// bench is a real QEMU with disks and without a guest: its CPUs do not run. The
// guest's part is played by QEMU's own writes to its devices.
type bench struct {
	*testing.T
	machine Machine
	spec    api.Spec
	chains  map[string]qemu.Chain
	paused  bool
	waits   bool // for a saved state
	*Session
}

// newBench makes a machine's folder, without disks. When the tests run as root, QEMU
// is another user, who can open nothing by path.
func newBench(t *testing.T) *bench {
	t.Helper()
	testenv.Need(t, "qemu-system-x86_64")
	watcher, err := console.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = watcher.Close() })
	b := &bench{T: t, chains: map[string]qemu.Chain{}, paused: true, machine: Machine{
		UUID: uuid.NewString(), Name: "bench", Watcher: watcher, Log: slog.New(slog.DiscardHandler),
		Folder: folder.Folder(filepath.Join(t.TempDir(), "bench")),
	}}
	sockets := testenv.SocketDir(t)
	if os.Geteuid() == 0 {
		const nobody = 65534
		b.machine.User = &process.Identity{Name: "nobody", UID: nobody, GID: nobody}
		if err := os.Chmod(sockets, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	b.machine.Dir = Dir(filepath.Join(sockets, "m", "b"))
	if err := b.machine.Folder.Make(); err != nil {
		t.Fatal(err)
	}
	b.spec = api.Spec{Name: "bench", UUID: b.machine.UUID, Architecture: api.X8664, Memory: api.Memory{Size: 64 * api.MiB}}
	return b
}

// path is where an image of the machine is.
func (b *bench) path(name string) string { return b.machine.Folder.Path(folder.Disks, name) }

// image makes a qcow2 image of the machine, on another one or on nothing.
func (b *bench) image(name, on string) string {
	b.Helper()
	args := []string{"create", "-q", "-f", "qcow2"}
	if on != "" {
		args = append(args, "-u", "-b", on, "-F", "qcow2")
	}
	b.tool("qemu-img", append(args, b.path(name), fmt.Sprint(diskSize))...)
	return b.path(name)
}

// tool runs a program and returns what it prints.
func (b *bench) tool(name string, args ...string) string {
	b.Helper()
	out, err := exec.Command(testenv.Need(b, name), args...).CombinedOutput()
	if err != nil {
		b.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// disk gives the machine a drive with a chain of images, the topmost first.
func (b *bench) disk(drive string, images ...string) {
	var chain qemu.Chain
	for _, image := range images {
		chain = append(chain, qemu.Image{Path: image, Format: "qcow2", Own: true})
	}
	b.chains[drive] = chain
}

// start starts QEMU.
func (b *bench) start() {
	b.Helper()
	caps, err := capabilities()
	if err != nil {
		b.Fatal(err)
	}
	spec := b.spec
	for name := range b.chains {
		spec.Drives = append(spec.Drives, api.Drive{Name: name, Kind: api.Disk, Size: diskSize})
	}
	spec = machine.Complete(spec, machine.Defaults{})
	invocation, err := qemu.Command(qemu.Launch{
		Spec: spec, Caps: caps, Accelerator: "tcg", RuntimeDir: string(b.machine.Dir), LogDir: b.machine.Folder.Path(folder.Log),
		Images: b.chains, ImageSocket: b.machine.Dir.Images().Socket(), Paused: b.paused, Incoming: b.waits,
	})
	if err != nil {
		b.Fatal(err)
	}
	if b.Session, err = Launch(b.Context(), b.machine, invocation, nil); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(b.end)
}

// end ends QEMU, as a power cut would, if it still runs.
func (b *bench) end() {
	select {
	case <-b.Done():
	default:
		_ = b.program.Signal(syscall.SIGKILL)
		<-b.Done()
	}
}

// adopt is another daemon that finds the machine running.
func (b *bench) adopt() {
	b.Helper()
	_ = b.monitor.Close()
	session, err := Attach(b.Context(), b.machine)
	if err != nil {
		b.Fatal(err)
	}
	b.Session = session
	b.Cleanup(b.end)
}

// io has a drive's device do what the guest would do, in qemu-io's words. QEMU does
// not tell what came of it.
func (b *bench) io(drive, command string) {
	b.Helper()
	line := fmt.Sprintf("qemu-io -d %s \"%s\"", b.device(drive), command)
	var said string
	err := b.monitor.Execute(b.Context(), "human-monitor-command", map[string]any{"command-line": line}, &said)
	if err != nil || said != "" {
		b.Fatalf("%s: %s: %v", line, said, err)
	}
}

// device is the device of a drive, as QEMU names it.
func (b *bench) device(drive string) string {
	b.Helper()
	devices, err := b.monitor.QueryBlock(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for _, device := range devices {
		if device.Belongs(drive) {
			return device.QDev
		}
	}
	b.Fatalf("there is no device of drive %s", drive)
	return ""
}

// fill writes a pattern over some megabytes of a drive.
func (b *bench) fill(drive string, pattern, from, count int) {
	b.Helper()
	b.io(drive, fmt.Sprintf("write -P %d %dM %dM", pattern, from, count))
}

// sees checks that a drive, which writes the image at path now, holds a pattern in
// some megabytes.
func (b *bench) sees(drive, path string, pattern, from, count int) {
	b.Helper()
	b.io(drive, "flush")
	said := b.tool("qemu-io", "-U", "-r", "-c", fmt.Sprintf("read -P %d %dM %dM", pattern, from, count), path)
	if strings.Contains(said, "ailed") {
		b.Errorf("drive %s does not hold %d at %d MiB: %s", drive, pattern, from, said)
	}
}

// digest is that of an image's content with all that it stands on, as qemu-img reads it.
func (b *bench) digest(path string) string {
	b.Helper()
	raw := filepath.Join(b.TempDir(), "raw")
	b.tool("qemu-img", "convert", "-U", "-O", "raw", path, raw)
	content, err := os.ReadFile(raw)
	if err != nil {
		b.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(content))
}

// refused checks that nobody can connect to a socket.
func refused(t *testing.T, path string) {
	t.Helper()
	if conn, err := net.Dial("unix", path); err == nil {
		_ = conn.Close()
		t.Errorf("%s still answers", path)
	}
}
