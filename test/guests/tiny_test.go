package guests_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/panalvm/panal/internal/testenv"
	"github.com/panalvm/panal/test/guests"
)

// machines are the arguments of QEMU for each architecture, and whether the machine has a power button.
var machines = map[string]struct {
	args   []string
	button bool
}{
	"x86_64":  {[]string{"-M", "q35", "-cpu", "qemu64"}, true},
	"aarch64": {[]string{"-M", "virt", "-cpu", "cortex-a57"}, true},
	"riscv64": {[]string{"-M", "virt"}, false},
}

// TestTiny boots each tiny guest once and asks it about everything it was given.
func TestTiny(t *testing.T) {
	for _, arch := range guests.Arches() {
		t.Run(arch, func(t *testing.T) { tryTiny(t, arch) })
	}
}

func tryTiny(t *testing.T, arch string) {
	guest := testenv.TinyGuest(t, arch)
	content := bytes.Repeat([]byte("panal"), 1<<20/5+1)[:1<<20]
	disk := scratch(t, content)
	v := newVM(t)
	first, firstListener := v.line("first")
	second, secondListener := v.line("second")
	monitor, monitorListener := v.line("monitor")
	began := time.Now()
	v.start(testenv.Need(t, "qemu-system-"+arch), append(machines[arch].args,
		"-accel", "tcg", "-m", "256", "-smp", "2", "-nodefaults", "-display", "none", "-no-reboot",
		"-kernel", guest.Kernel, "-initrd", guest.Initrd, "-append", guest.Append,
		"-chardev", first, "-serial", "chardev:first",
		"-device", "virtio-serial-pci", "-chardev", second, "-device", "virtserialport,chardev=second,name=panal.agent",
		"-chardev", monitor, "-mon", "chardev=monitor,mode=readline",
		"-drive", "if=none,id=d,format=raw,file="+disk, "-device", "virtio-blk-pci,drive=d,serial=honey",
		"-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n,mac=52:54:00:00:00:01")...)
	line := &console{v: v, conn: v.accept(firstListener)}
	agent := guests.NewAgent(v.accept(secondListener))
	buttons := v.accept(monitorListener)
	line.await(guests.UpLine)
	t.Logf("%s: up after %.1f s", arch, time.Since(began).Seconds())

	digest := sha256.Sum256(content[4096:8192])
	for request, want := range map[string]string{
		"ping":               "pong",
		"cpus":               "2",
		"cmdline":            guest.Append,
		"disks":              "vda 1048576 honey rw",
		"read vda 4096 4096": hex.EncodeToString(digest[:]),
		"run echo $((6*7))":  "42",
		"wait /dev/vda 10":   "",
		"firmware":           "none",
	} {
		if got, err := agent.Ask(v.ctx, request); err != nil || strings.Join(got, "\n") != want {
			t.Errorf("%s: got %q, %v; want %q", request, got, err, want)
		}
	}
	if got, err := agent.Ask(v.ctx, "nics"); err != nil || !strings.HasPrefix(strings.Join(got, "\n"), "eth0 52:54:00:00:00:01 virtio_net") {
		t.Errorf("nics: got %q, %v", got, err)
	}
	if got, err := agent.Ask(v.ctx, "run exit 3"); !errors.Is(err, guests.ErrRefused) {
		t.Errorf("a command that fails: got %q, %v", got, err)
	}
	if _, err := agent.Ask(v.ctx, "write vda 512 nectar and pollen"); err != nil {
		t.Error(err)
	}
	line.enter("echo shell says $((6*7))")
	line.await("shell says 42")

	if machines[arch].button {
		if _, err := buttons.Write([]byte("system_powerdown\n")); err != nil {
			t.Fatal(err)
		}
	} else if _, err := agent.Ask(v.ctx, "poweroff"); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err) // the end of the line may come before the answer
	}
	line.awaitEnd()
	written, err := os.ReadFile(disk)
	if err != nil || !bytes.HasPrefix(written[512:], []byte("nectar and pollen")) {
		t.Errorf("what the guest wrote is not on the disk: %v", err)
	}
}
