package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/disk/luks"
	"github.com/panalvm/panal/disk/nbd"
	"github.com/panalvm/panal/internal/machine"
	"github.com/panalvm/panal/internal/qmp"
	"github.com/panalvm/panal/internal/testenv"
	"golang.org/x/sys/unix"
)

// nobody is the user that the real QEMU is started as when the tests run as
// root, to show that it opens nothing of the machine's by path.
const nobody = 65534

// TestRealQEMUTakesEveryCommand starts QEMU with the invocation of every golden
// file, made for real files and sockets, and asks it over QMP how it is.
func TestRealQEMUTakesEveryCommand(t *testing.T) {
	caps := probed{}
	for _, c := range launchCases() {
		t.Run(c.name, func(t *testing.T) { takes(t, c, caps.of(t, c.arch)) })
	}
}

// TestRealQEMUTakesTheHighestPorts starts QEMU with a drive at the last port that
// each controller is said to have on each board.
func TestRealQEMUTakesTheHighestPorts(t *testing.T) {
	caps := probed{}
	boards := []struct {
		machine string
		board   machine.Board
		arch    api.Architecture
	}{{"q35", machine.BoardQ35, api.X8664}, {"pc", machine.BoardPC, api.X8664}, {"virt", machine.BoardVirt, api.AArch64}}
	for _, at := range boards {
		for _, kind := range controllerTypes {
			ports := machine.PortsOf(at.board, kind)
			if ports == 0 {
				continue
			}
			last := launchCase{name: at.machine + "-" + string(kind), arch: at.arch, set: lastPort(at.machine, kind, ports-1)}
			t.Run(last.name, func(t *testing.T) { takes(t, last, caps.of(t, at.arch)) })
		}
	}
}

var controllerTypes = []api.ControllerType{
	api.IDE, api.SATA, api.VirtioSCSI, api.LSILogic, api.BusLogic, api.LSISAS, api.MegaRAID, api.PVSCSI,
	api.VirtioBlk, api.NVMe, api.USB, api.Floppy,
}

// lastPort is the spec of a machine with a drive at a port.
func lastPort(board string, kind api.ControllerType, port int) string {
	name, add := "disk0", ""
	if kind == api.Floppy {
		name, add = "a", "drives.a=new|drives.a.kind=floppy|"
	}
	return fmt.Sprintf("machine=%s|%sdrives.%s.controller=%s0|drives.%[3]s.port=%[5]d", board, add, name, machine.ControllerPrefix(kind), port)
}

// probed are the capabilities of the QEMUs that are installed.
type probed map[api.Architecture]Capabilities

func (p probed) of(t *testing.T, arch api.Architecture) Capabilities {
	t.Helper()
	if _, done := p[arch]; !done {
		caps, err := Probe(context.Background(), needQEMU(t, arch))
		if err != nil {
			t.Fatal(err)
		}
		p[arch] = caps
	}
	return p[arch]
}

// takes starts QEMU for a case.
func takes(t *testing.T, c launchCase, caps Capabilities) {
	t.Helper()
	if c.huge > 0 {
		testenv.HugePages(t, c.huge)
	}
	at := places{folder: t.TempDir(), runtime: testenv.SocketDir(t)}
	launch := c.launch(t, caps, at, Firmware{})
	realFirmware(t, &launch)
	realImages(t, &launch, true)
	if launch.Spec.TPM != nil {
		startTPM(t, at, launch)
	}
	invocation, err := Command(launch)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(launch.LogDir, 0o700); err != nil {
		t.Fatal(err)
	}
	if invocation.Locks && os.Geteuid() != 0 {
		t.Skip("letting QEMU lock its memory takes root")
	}
	// The kernel lets root lock any amount of memory, and others what their limit says.
	runAndQuit(t, at, invocation, os.Geteuid() == 0 && !invocation.Locks)
}

// realFirmware chooses installed firmware, and gives the machine its variables.
func realFirmware(t *testing.T, l *Launch) {
	t.Helper()
	vars := l.Firmware.Vars
	installed, err := InstalledFirmwares("")
	if err != nil {
		t.Fatal(err)
	}
	m, err := l.Caps.ResolveMachine(l.Spec.MachineType)
	if err != nil {
		t.Fatal(err)
	}
	if l.Firmware, err = installed.For(l.Spec, m.Name); err != nil {
		testenv.Missing(t, err.Error())
	}
	if vars == "" {
		return
	}
	l.Firmware.Vars = vars
	template, err := os.ReadFile(l.Firmware.VarsTemplate)
	if err == nil {
		err = os.WriteFile(vars, template, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// realImages makes the images of a launch, the lowest of each chain first,
// and what passes for its kernel if it is to.
func realImages(t *testing.T, l *Launch, kernel bool) {
	t.Helper()
	qemuImg := testenv.Need(t, "qemu-img")
	for _, chain := range l.Images {
		if err := os.MkdirAll(filepath.Dir(chain[0].Path), 0o700); err != nil {
			t.Fatal(err)
		}
		for i := len(chain) - 1; i >= 0; i-- {
			if chain[i].Export != "" {
				continue
			}
			if chain[i].Encrypted {
				realEncrypted(t, chain[i])
				continue
			}
			args := []string{"create", "-q", "-f", chain[i].Format}
			if i+1 < len(chain) && chain[i+1].Export == "" {
				args = append(args, "-u", "-b", chain[i+1].Path, "-F", chain[i+1].Format)
			}
			args = append(args, chain[i].Path, "64M")
			if out, err := exec.Command(qemuImg, args...).CombinedOutput(); err != nil {
				t.Fatalf("qemu-img %v: %v: %s", args, err, out)
			}
		}
	}
	if l.ImageSocket != "" {
		serveImages(t, l)
	}
	if kernel && l.Spec.Kernel != nil {
		realKernel(t, l)
	}
}

// realEncrypted makes an image that the launches' passphrase opens.
func realEncrypted(t *testing.T, image Image) {
	t.Helper()
	header, err := luks.New([]byte(passphrase), 1000)
	if err != nil {
		t.Fatal(err)
	}
	if image.Format == "luks" {
		if err = os.WriteFile(image.Path, header, 0o600); err == nil {
			err = os.Truncate(image.Path, int64(len(header))+64<<20)
		}
	} else {
		var made disk.Image
		made, err = disk.Create(image.Path, disk.CreateOptions{
			FS: hostfs.Everywhere(), Formats: formats.All(), Format: image.Format, Size: 64 << 20, Encryption: header,
		})
		if err == nil {
			err = made.Close()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// serveImages serves a disk for every image that is to be served.
func serveImages(t *testing.T, l *Launch) {
	t.Helper()
	var exports []nbd.Export
	for _, chain := range l.Images {
		for _, image := range chain {
			if image.Export == "" {
				continue
			}
			made, err := disk.Create(image.Path, disk.CreateOptions{
				FS: hostfs.Everywhere(), Formats: formats.All(), Format: image.Format, Size: 64 << 20,
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = made.Close() })
			exports = append(exports, nbd.Export{Name: image.Export, Image: made, ReadOnly: image.ReadOnly})
		}
	}
	server, err := nbd.New(exports, nbd.Options{})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", l.ImageSocket)
	if err == nil {
		err = os.Chmod(l.ImageSocket, 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	go server.Serve(context.Background(), listener) //nolint:errcheck // QEMU would tell
}

// realKernel puts something in the place of the kernel that QEMU can load: on
// x86 it wants the header of Linux's boot protocol, elsewhere anything will do.
func realKernel(t *testing.T, l *Launch) {
	t.Helper()
	dir := t.TempDir()
	kernel := make([]byte, 64<<10)
	if l.Spec.Architecture == api.X8664 {
		copy(kernel[0x1f1:], []byte{1})                              // setup_sects
		copy(kernel[0x202:], []byte{'H', 'd', 'r', 'S', 0x0c, 0x02}) // boot protocol 2.12
		copy(kernel[0x211:], []byte{1})                              // loaded high
		copy(kernel[0x22c:], []byte{0xff, 0xff, 0xff, 0x37})         // initrd_addr_max
	}
	files := map[string][]byte{"vmlinuz": kernel, "initrd": []byte("an initial RAM disk")}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l.Spec.Kernel.Image = filepath.Join(dir, "vmlinuz")
	if l.Spec.Kernel.Initrd != "" {
		l.Spec.Kernel.Initrd = filepath.Join(dir, "initrd")
	}
}

// startTPM runs swtpm on a socket that is made for it.
func startTPM(t *testing.T, at places, l Launch) {
	t.Helper()
	swtpm := testenv.Need(t, "swtpm")
	listener := openFile(t, File{Path: l.TPMSocket, Access: Listen})
	if err := os.Chmod(l.TPMSocket, 0o777); err != nil {
		t.Fatal(err)
	}
	args := []string{"socket", "--ctrl", "type=unixio,fd=3", "--tpmstate", "dir=" + at.folder, "--terminate"}
	if l.Spec.TPM.Version == "2.0" {
		args = append(args, "--tpm2")
	}
	cmd := exec.Command(swtpm, args...)
	cmd.ExtraFiles = []*os.File{listener}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("swtpm said: %s", &said)
		}
	})
}

// openFile does for one file what the daemon does.
func openFile(t *testing.T, f File) *os.File {
	t.Helper()
	var file *os.File
	var err error
	switch f.Access {
	case Read:
		file, err = os.Open(f.Path)
	case ReadWrite:
		file, err = os.OpenFile(f.Path, os.O_RDWR, 0)
	case Append:
		file, err = os.OpenFile(f.Path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	case Listen:
		var listener *net.UnixListener
		if listener, err = net.ListenUnix("unix", &net.UnixAddr{Name: f.Path}); err == nil {
			listener.SetUnlinkOnClose(false)
			file, err = listener.File()
			_ = listener.Close()
		}
	case Copy:
		var data []byte
		if data, err = os.ReadFile(f.Path); err == nil {
			file, err = inMemory(f.Path, data)
		}
	case Inline:
		file, err = inMemory(f.Path, f.Content)
	default:
		err = fmt.Errorf("unknown access %q", f.Access)
	}
	if err != nil {
		t.Fatalf("open %s: %v", f.Path, err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file
}

func inMemory(path string, data []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(filepath.Base(path), unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), path)
	_, err = file.Write(data)
	return file, err
}

// runAndQuit starts QEMU, asks for its status, and lets it end.
func runAndQuit(t *testing.T, at places, invocation Invocation, asNobody bool) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, invocation.Binary, invocation.Args...)
	for _, f := range invocation.Files {
		cmd.ExtraFiles = append(cmd.ExtraFiles, openFile(t, f))
	}
	for _, base := range invocation.Lines {
		_ = pipe(t, base+".in").Close()
		if err := errors.Join(os.Chmod(base+".in", 0o666), os.Symlink(os.DevNull, base+".out")); err != nil {
			t.Fatal(err)
		}
	}
	if asNobody {
		if err := os.Chown(at.runtime, nobody, nobody); err != nil {
			t.Fatal(err)
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait(); cancel() }()
	if err := askStatus(ctx, at, invocation.LinksDown); err != nil {
		t.Errorf("talk to QEMU: %v", err)
	}
	err := <-ended
	complaints := said.String()
	for _, adapter := range invocation.LinksDown {
		complaints = regexp.MustCompile(`.* warning: nic `+adapter+` has no peer\n`).ReplaceAllString(complaints, "")
	}
	if err != nil || complaints != "" {
		t.Errorf("QEMU ended: %v; it said:\n%s\nfor %s", err, complaints, render(invocation))
	}
}

func askStatus(ctx context.Context, at places, linksDown []string) error {
	client, err := qmp.Dial(ctx, filepath.Join(at.runtime, MonitorSocket))
	if err != nil {
		return err
	}
	defer client.Close()
	status, err := client.Status(ctx)
	if err != nil {
		return err
	}
	if status.State != qmp.StatePrelaunch && status.State != qmp.StateInMigrate {
		return fmt.Errorf("the status is %+v", status)
	}
	pid, err := os.ReadFile(filepath.Join(at.runtime, PIDFile))
	if err != nil {
		return err
	}
	if _, err := strconv.Atoi(strings.TrimSpace(string(pid))); err != nil {
		return fmt.Errorf("the PID file: %w", err)
	}
	for _, adapter := range linksDown {
		if err := client.Execute(ctx, "set_link", map[string]any{"name": adapter, "up": false}, nil); err != nil {
			return err
		}
	}
	return client.Execute(ctx, "quit", nil, nil)
}
