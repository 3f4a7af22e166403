package guests_test

import (
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/panalvm/panal/internal/testenv"
)

// Firmware of Debian's and Ubuntu's package ovmf, with Microsoft's keys enrolled.
const (
	ovmfCode = "/usr/share/OVMF/OVMF_CODE_4M.ms.fd"
	ovmfVars = "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"
)

// TestDebian boots the disk from an IDE disk by BIOS, and from a SCSI disk by UEFI with secure boot, which leaves out
// no part of the disk. Other controllers differ in a driver of the initramfs only.
func TestDebian(t *testing.T) {
	t.Run("bios", func(t *testing.T) {
		tryDebian(t, "uefi=no secure=0", "-M", "pc", "-device", "ide-hd,drive=d")
	})
	t.Run("secure boot", func(t *testing.T) {
		tryDebian(t, "uefi=yes secure=1", append(secureFirmware(t),
			"-M", "q35,smm=on", "-device", "virtio-scsi-pci", "-device", "scsi-hd,drive=d")...)
	})
}

// secureFirmware gives QEMU's arguments for UEFI that starts nothing unsigned, with variables of its own.
func secureFirmware(t *testing.T) []string {
	t.Helper()
	vars, err := os.ReadFile(ovmfVars)
	if err != nil {
		testenv.Missing(t, "no UEFI firmware with secure boot: "+err.Error()+": install Debian's package ovmf")
	}
	copied := filepath.Join(t.TempDir(), "vars.fd")
	if err := os.WriteFile(copied, vars, 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{
		"-global", "driver=cfi.pflash01,property=secure,value=on",
		"-drive", "if=pflash,format=raw,readonly=on,file=" + ovmfCode,
		"-drive", "if=pflash,format=raw,file=" + copied,
	}
}

func tryDebian(t *testing.T, wantFirmware string, machine ...string) {
	guest := testenv.DebianGuest(t)
	v := newVM(t)
	serial, serialListener := v.line("serial")
	channel, channelListener := v.line("agent")
	began := time.Now()
	v.start(testenv.Need(t, "qemu-system-x86_64"), append(machine,
		"-accel", "tcg,thread=multi", "-m", "1024", "-smp", "2", "-nodefaults", "-display", "none", "-no-reboot",
		"-drive", "if=none,id=d,format=qcow2,snapshot=on,file="+guest.Path,
		"-chardev", serial, "-serial", "chardev:serial",
		"-device", "virtio-serial-pci", "-chardev", channel,
		"-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0")...)
	line := &console{v: v, conn: v.accept(serialListener)}
	qga := v.accept(channelListener)
	line.await("login: ")
	t.Logf("login prompt after %.1f s", time.Since(began).Seconds())

	line.enter(guest.User)
	line.await("Password: ")
	line.enter(guest.Password)
	line.await("# ")
	line.enter(`test -d /sys/firmware/efi && u=yes || u=no; echo "uefi=$u secure=$(od -An -j4 -N1 -tu1 ` +
		`/sys/firmware/efi/efivars/SecureBoot-* 2>/dev/null | tr -d ' ' | grep . || echo 0)"; systemctl is-system-running --wait`)
	line.await(wantFirmware + "\r\n") // not the command itself, which the terminal echoes
	line.await("running\r\n")
	pingAgent(v, qga)
	line.enter("poweroff")
	line.awaitEnd()
}

// pingAgent sees that the QEMU guest agent answers.
func pingAgent(v *vm, conn net.Conn) {
	v.t.Helper()
	if deadline, ok := v.ctx.Deadline(); ok {
		conn.SetDeadline(deadline) //nolint:errcheck // it cannot fail
	}
	if _, err := io.WriteString(conn, `{"execute":"guest-ping"}`+"\n"); err != nil {
		v.t.Fatal(err)
	}
	var reply map[string]any
	if err := json.NewDecoder(conn).Decode(&reply); err != nil {
		v.t.Fatalf("the guest agent does not answer: %v", err)
	}
	if _, ok := reply["return"]; !ok {
		v.t.Fatalf("the guest agent answers %v", reply)
	}
}
