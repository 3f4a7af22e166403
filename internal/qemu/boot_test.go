package qemu

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/qmp"
	"github.com/panalvm/panal/internal/testenv"
	"github.com/panalvm/panal/test/guests"
)

// bootLimit bounds a guest that hangs; no test waits for it otherwise.
const bootLimit = 4 * time.Minute

// TestGuestSeesItsHardware boots a real guest with a drive on each type of
// controller, and asks it what it sees.
func TestGuestSeesItsHardware(t *testing.T) {
	drive := func(name, controller string) string {
		return "|drives." + name + "=new|drives." + name + ".size=1G|drives." + name + ".controller=" + controller + "|drives." + name + ".serial=S-" + name
	}
	everywhere := drive("virtioblk", "virtio0") + drive("scsi", "scsi0") + drive("sata", "sata0") + drive("usb", "usb0") +
		"|drives.nvme=new|drives.nvme.size=1G|drives.nvme.controller=nvme0|serials.agent=new|display=none"
	tests := []struct {
		arch  api.Architecture
		set   string
		disks []string // serial numbers
		nics  []string // drivers
	}{
		{api.X8664, "cpus=2|adapters.b=new|adapters.b.model=e1000|adapters.c=new|adapters.c.model=e1000e" + everywhere, []string{"S-virtioblk", "S-scsi", "S-sata"}, []string{"virtio_net", "e1000", "e1000e"}},
		{api.X8664, "machine=pc|cpus=2" + everywhere + drive("ide", "ide0"), []string{"S-virtioblk", "S-scsi", "S-sata", "S-ide"}, []string{"virtio_net"}},
		{api.AArch64, "firmware=bios|cpus=2" + everywhere, []string{"S-virtioblk", "S-scsi", "S-sata"}, []string{"virtio_net"}},
		{api.RISCV64, "cpus=2" + everywhere, []string{"S-virtioblk", "S-scsi", "S-sata"}, []string{"virtio_net"}},
	}
	for _, test := range tests {
		t.Run(string(test.arch)+" "+strings.Split(test.set, "|")[0], func(t *testing.T) {
			g := bootTiny(t, test.arch, "drives.disk0=none|"+test.set)
			for _, disk := range []string{"/dev/sda", "/dev/sdb", "/dev/sdc"} {
				g.ask("wait " + disk + " 30")
			}
			// Without MSI, as on RISC-V, QEMU 7.2 loses an interrupt of its NVMe controller now and then; Linux looks by
			// itself, but only after thirty seconds for each command.
			g.ask("wait /dev/nvme0n1 120")
			disks, nics := strings.Join(g.ask("disks"), "\n")+"\n", strings.Join(g.ask("nics"), "\n")
			for _, serial := range test.disks {
				if strings.Count(disks, " "+serial+" ") != 1 {
					t.Errorf("no disk with serial number %s among\n%s", serial, disks)
				}
			}
			if usb := g.ask("run cat /sys/bus/usb/devices/*/serial"); !slices.Contains(usb, "S-usb") {
				t.Errorf("no USB device with the drive's serial number among %q", usb)
			}
			for _, driver := range test.nics {
				if !strings.Contains(nics, " "+driver+" ") {
					t.Errorf("no network adapter with driver %s among\n%s", driver, nics)
				}
			}
			if cpus := g.ask("cpus"); !slices.Equal(cpus, []string{"2"}) {
				t.Errorf("the guest sees %v CPUs, want 2", cpus)
			}
			t.Logf("%s%s", disks, nics)
		})
	}
}

// TestGuestEndsStayVisible holds the choice of -action: QEMU stays, with the
// reason, when its guest has ended, and goes on when it was only reset.
func TestGuestEndsStayVisible(t *testing.T) {
	for request, want := range map[string]struct{ event, state string }{
		"poweroff": {qmp.EventShutdown, "shutdown"},
		"panic":    {qmp.EventGuestPanicked, "guest-panicked"},
		"reboot":   {qmp.EventReset, "running"},
	} {
		t.Run(request, func(t *testing.T) {
			g := bootTiny(t, api.X8664, "drives.disk0=none|serials.agent=new|display=none")
			g.ask("run modprobe pvpanic_mmio")
			g.ask(request)
			for event := range g.monitor.Events() {
				if event.Name == want.event {
					break
				}
			}
			// The event comes while the state is still changing; a command waits for that.
			status, err := g.monitor.Status(g.ctx)
			if err != nil || status.State != want.state {
				t.Errorf("after %s, QEMU is %+v, %v; want it %s", want.event, status, err, want.state)
			}
		})
	}
}

// guest is a tiny guest that is up.
type guest struct {
	t       *testing.T
	ctx     context.Context
	monitor *qmp.Client
	agent   *guests.Agent
}

// ask sends the guest's agent a request.
func (g guest) ask(request string) []string {
	g.t.Helper()
	answer, err := g.agent.Ask(g.ctx, request)
	if err != nil {
		g.t.Fatalf("ask the guest for %q: %v", request, err)
	}
	return answer
}

// bootTiny starts a tiny guest, and returns when it is up. The first serial
// line is its console, the second its agent's.
func bootTiny(t *testing.T, arch api.Architecture, set string) guest {
	t.Helper()
	tiny := testenv.TinyGuest(t, string(arch))
	ctx, cancel := context.WithTimeout(t.Context(), bootLimit)
	t.Cleanup(cancel)
	caps, err := Probe(ctx, needQEMU(t, arch))
	if err != nil {
		t.Fatal(err)
	}
	at := places{folder: t.TempDir(), runtime: testenv.SocketDir(t)}
	c := launchCase{arch: arch, set: set + "|kernel=" + tiny.Kernel + "|kernel.initrd=" + tiny.Initrd + "|kernel.commandLine=" + tiny.Append}
	launch := c.launch(t, caps, at, Firmware{})
	launch.Paused = false
	realImages(t, &launch, false)
	if err := os.MkdirAll(launch.LogDir, 0o700); err != nil {
		t.Fatal(err)
	}
	invocation, err := Command(launch)
	if err != nil {
		t.Fatal(err)
	}
	lines := makeLines(t, invocation)
	startQEMU(t, ctx, invocation)
	g := guest{t: t, ctx: ctx}
	if g.monitor, err = qmp.Dial(ctx, filepath.Join(at.runtime, MonitorSocket)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.monitor.Close() })
	g.agent = guests.NewAgent(lines["agent"])
	waitFor(t, ctx, lines["serial0"], guests.UpLine)
	log, err := os.ReadFile(filepath.Join(launch.LogDir, "serial0.log"))
	if err != nil || !bytes.Contains(log, []byte(guests.UpLine)) {
		t.Errorf("the log of the serial line lacks what was printed: %v", err)
	}
	return g
}

// startQEMU runs QEMU until the test ends.
func startQEMU(t *testing.T, ctx context.Context, invocation Invocation) {
	t.Helper()
	cmd := exec.CommandContext(ctx, invocation.Binary, invocation.Args...)
	for _, f := range invocation.Files {
		cmd.ExtraFiles = append(cmd.ExtraFiles, openFile(t, f))
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("QEMU said: %s", &said)
		}
	})
}

// line is the test's end of a serial line. What the guest prints is read from a pipe, which suits a test: it does
// not outlive its reader.
type line struct {
	net.Conn
	in, out *os.File
}

func (l line) Read(p []byte) (int, error)      { return l.out.Read(p) }
func (l line) Write(p []byte) (int, error)     { return l.in.Write(p) }
func (l line) Close() error                    { return errors.Join(l.in.Close(), l.out.Close()) }
func (l line) SetDeadline(end time.Time) error { return l.out.SetDeadline(end) }

// makeLines makes the serial lines of an invocation, and returns them by their names.
func makeLines(t *testing.T, invocation Invocation) map[string]net.Conn {
	t.Helper()
	lines := map[string]net.Conn{}
	for _, base := range invocation.Lines {
		l := line{in: pipe(t, base+".in"), out: pipe(t, base+".out")}
		t.Cleanup(func() { _ = l.Close() })
		lines[strings.TrimSuffix(filepath.Base(base), ".serial")] = l
	}
	return lines
}

func pipe(t *testing.T, path string) *os.File {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// waitFor reads what a guest prints until a line holds text.
func waitFor(t *testing.T, ctx context.Context, conn net.Conn, text string) {
	t.Helper()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	var printed strings.Builder
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if strings.Contains(lines.Text(), text) {
			go func() { // the guest must not wait for a reader
				for lines.Scan() {
				}
			}()
			return
		}
		printed.WriteString(lines.Text() + "\n")
	}
	t.Fatalf("the guest ended, or was too slow, before it printed %q:\n%s", text, printed.String())
}
