package qmp_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/panalvm/panal/internal/qmp"
	"github.com/panalvm/panal/internal/testenv"
)

// sandbox is the seccomp policy Panal runs QEMU under.
var sandbox = []string{"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"}

// Programs for the first sector of a disk, which the BIOS runs.
var (
	// mov dx,0x604; mov ax,0x2000; out dx,ax; hlt: ACPI soft off on q35.
	codePowerOff = []byte{0xba, 0x04, 0x06, 0xb8, 0x00, 0x20, 0xef, 0xf4, 0xeb, 0xfd}
	// mov dx,0x505; mov al,1; out dx,al; hlt: pvpanic.
	codePanic = []byte{0xba, 0x05, 0x05, 0xb0, 0x01, 0xee, 0xf4, 0xeb, 0xfd}
	// xor ebx,ebx; l: inc ebx; jmp l: busy for ever.
	codeBusy = []byte{0x66, 0x31, 0xdb, 0x66, 0x43, 0xeb, 0xfc}
)

// qemu is a running QEMU whose monitor listens on a socket it was given.
type qemu struct {
	socket string
	cmd    *exec.Cmd
	exited chan struct{}
	stderr bytes.Buffer
}

// bootSector returns a disk image that runs code.
func bootSector(t *testing.T, code []byte) string {
	t.Helper()
	sector := make([]byte, 512)
	copy(sector, code)
	sector[510], sector[511] = 0x55, 0xaa
	path := filepath.Join(t.TempDir(), "disk.raw")
	if err := os.WriteFile(path, append(sector, make([]byte, 1<<20)...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// startQEMU starts QEMU with a monitor on a listening socket passed as file
// descriptor 3, as the daemon does.
func startQEMU(t *testing.T, args ...string) *qemu {
	t.Helper()
	program := testenv.Need(t, "qemu-system-x86_64")
	q := &qemu{socket: filepath.Join(testenv.SocketDir(t), "qmp"), exited: make(chan struct{})}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: q.socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	file, err := listener.File()
	if err != nil {
		t.Fatal(err)
	}
	q.cmd = exec.Command(program, slices.Concat([]string{
		"-accel", "tcg", "-nodefaults", "-no-user-config", "-display", "none", "-m", "64",
		"-chardev", "socket,id=qmp,fd=3,server=on,wait=off", "-mon", "chardev=qmp,mode=control",
	}, sandbox, args)...)
	q.cmd.ExtraFiles = []*os.File{file}
	q.cmd.Stderr = &q.stderr
	err = q.cmd.Start()
	// Only QEMU shall hold the socket now: when it dies, connecting is refused.
	_, _ = file.Close(), listener.Close()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = q.cmd.Wait()
		close(q.exited)
	}()
	t.Cleanup(func() { q.kill() })
	return q
}

func (q *qemu) kill() {
	_ = q.cmd.Process.Kill()
	<-q.exited
}

// dial connects to q's monitor.
func (q *qemu) dial(t *testing.T) *qmp.Client {
	t.Helper()
	client, err := qmp.Dial(limit(t), q.socket)
	if err != nil {
		q.kill()
		t.Fatalf("%v; qemu says: %s", err, q.stderr.String())
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// limit returns a context that ends when something hangs.
func limit(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// awaitEvent skips events until one of that name.
func awaitEvent(t *testing.T, c *qmp.Client, name string) qmp.Event {
	t.Helper()
	ctx := limit(t)
	for {
		select {
		case e, open := <-c.Events():
			if !open {
				t.Fatalf("no %s: %v", name, c.Err())
			}
			if e.Name == name {
				return e
			}
		case <-ctx.Done():
			t.Fatalf("no %s within a minute", name)
		}
	}
}

func TestSocketPassedToQEMU(t *testing.T) {
	q := startQEMU(t, "-machine", "none")
	client := q.dial(t)
	if v := client.Greeting(); !v.AtLeast(7, 2) {
		t.Errorf("greeting %+v", v)
	}
	_ = q.cmd.Process.Kill()
	wantEnd(t, client)
	<-q.exited
	if _, err := qmp.Dial(limit(t), q.socket); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Dial after QEMU's death: %v, want it refused", err)
	}
}

// The daemon that comes back after a crash finds the monitor free again.
func TestReconnect(t *testing.T) {
	q := startQEMU(t, "-machine", "none")
	for range 3 {
		if err := q.dial(t).Close(); err != nil {
			t.Error(err)
		}
	}
	waiting := q.dial(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := qmp.Dial(ctx, q.socket); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("second connection beside a first: %v, want it to wait", err)
	}
	if _, err := waiting.Status(limit(t)); err != nil {
		t.Error(err)
	}
}

func TestProbing(t *testing.T) {
	client, ctx := startQEMU(t, "-machine", "none").dial(t), limit(t)
	if v, err := client.QueryVersion(ctx); err != nil || v != client.Greeting() {
		t.Errorf("QueryVersion: %+v, %v", v, err)
	}
	if arch, err := client.QueryTarget(ctx); err != nil || arch != "x86_64" {
		t.Errorf("QueryTarget: %q, %v", arch, err)
	}
	machines, err := client.QueryMachines(ctx)
	if i := slices.IndexFunc(machines, func(m qmp.MachineType) bool { return m.Alias == "q35" }); i < 0 || machines[i].MaxCPUs < 255 {
		t.Errorf("no sound q35 among %d machine types, %v", len(machines), err)
	}
	cpus, err := client.QueryCPUDefinitions(ctx)
	if !slices.ContainsFunc(cpus, func(d qmp.CPUDefinition) bool { return d.Name == "max" && d.Typename == "max-x86_64-cpu" }) {
		t.Errorf("no CPU max among %d, %v", len(cpus), err)
	}
	if kvm, err := client.QueryKVM(ctx); err != nil || kvm.Enabled {
		t.Errorf("QueryKVM: %+v, %v", kvm, err)
	}
	types, err := client.QOMListTypes(ctx, "device", false)
	if !slices.ContainsFunc(types, func(o qmp.ObjectType) bool { return o.Name == "virtio-blk-pci" }) {
		t.Errorf("no virtio-blk-pci among %d types, %v", len(types), err)
	}
	properties, err := client.DeviceListProperties(ctx, "virtio-blk-pci")
	if !slices.ContainsFunc(properties, func(p qmp.Property) bool { return p.Name == "drive" }) {
		t.Errorf("no drive among %d properties, %v", len(properties), err)
	}
	var refused *qmp.Error
	if _, err := client.DeviceListProperties(ctx, "no-such"); !errors.As(err, &refused) || refused.Class != qmp.ClassDeviceNotFound {
		t.Errorf("properties of no device: %v", err)
	}
	commands, err := client.QueryCommands(ctx)
	if !slices.Contains(commands, qmp.CommandName{Name: "screendump"}) {
		t.Errorf("no screendump among %d commands, %v", len(commands), err)
	}
	chardevs, err := client.QueryChardev(ctx)
	if i := slices.IndexFunc(chardevs, func(d qmp.Chardev) bool { return d.Label == "qmp" }); i < 0 || !chardevs[i].FrontendOpen {
		t.Errorf("chardevs %+v, %v", chardevs, err)
	}
}

func TestFilesInQEMU(t *testing.T) {
	client, ctx := startQEMU(t, "-machine", "none").dial(t), limit(t)
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	added, err := client.AddFD(ctx, nil, file, "null device")
	if err != nil {
		t.Fatal(err)
	}
	five := 5
	if chosen, err := client.AddFD(ctx, &five, file, ""); err != nil || chosen.Set != five {
		t.Errorf("AddFD to set 5: %+v, %v", chosen, err)
	}
	if err := client.SendFile(ctx, "null", file); err != nil {
		t.Error(err)
	}
	if err := client.CloseFD(ctx, "null"); err != nil {
		t.Error(err)
	}
	var refused *qmp.Error
	if err := client.CloseFD(ctx, "null"); !errors.As(err, &refused) {
		t.Errorf("closed twice: %v", err)
	}
	if err := client.RemoveFD(ctx, added.Set, added.FD); err != nil {
		t.Error(err)
	}
	if err := client.RemoveFD(ctx, five, -1); err != nil {
		t.Error(err)
	}
	var sets []any
	if err := client.Execute(ctx, "query-fdsets", nil, &sets); err != nil || len(sets) != 0 {
		t.Errorf("fd sets left: %v, %v", sets, err)
	}
}

// Files sent at once from many goroutines all arrive, each under its name.
func TestFilesSentAtOnce(t *testing.T) {
	client, ctx := startQEMU(t, "-machine", "none").dial(t), limit(t)
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	const n = 40
	waits := make([]func() error, n)
	for i := range n {
		waits[i] = background(func() error {
			_, err := client.AddFD(ctx, &i, file, "")
			return err
		})
	}
	for _, wait := range waits {
		if err := wait(); err != nil {
			t.Error(err)
		}
	}
	var sets []any
	if err := client.Execute(ctx, "query-fdsets", nil, &sets); err != nil || len(sets) != n {
		t.Errorf("%d fd sets of %d, %v", len(sets), n, err)
	}
}
