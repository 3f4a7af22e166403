package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// kvmLimit bounds the probe: what hangs is ended then.
	kvmLimit = 4 * time.Second
	// kvmSlowest is how many times slower than the host's own the loop may
	// run. KVM is at 1, TCG at 5 and more; between them is room for a busy host.
	kvmSlowest = 3
)

// Verdict is whether KVM is of use on this computer.
type Verdict struct {
	Usable bool   `json:"usable"`
	Why    string `json:"why"` // in plain words, and what to do about it
	// Tried tells that a guest was started. What was found without one
	// changes with a permission or a module, so it is not worth keeping.
	Tried  bool          `json:"tried"`
	Native time.Duration `json:"native,omitempty"` // the loop's time on the host
	Guest  time.Duration `json:"guest,omitempty"`  // and in the guest, if it came to its end
}

// ProbeKVM finds out by trying whether machines can run under KVM with a QEMU
// program: a small guest enters 64-bit mode, and runs a loop there at the speed
// of the host's own. That /dev/kvm can be opened says little: inside of some
// virtual machines it is there, and guests hang.
//
// as is the user that QEMU will run as, nil for the daemon's own: a user who
// may not open /dev/kvm is a verdict. It takes half a second, or up to 5
// seconds where guests hang. Every failure is a verdict.
func ProbeKVM(ctx context.Context, binary string, as *syscall.Credential) Verdict {
	if runtime.GOARCH != "amd64" {
		return Verdict{Why: "whether KVM works can only be tried on x86_64 hosts so far, and it is not used untried"}
	}
	p := kvmProbe{binary: binary, accelerator: "kvm", device: "/dev/kvm", as: as, limit: kvmLimit}
	if why := p.obstacle(); why != "" {
		return Verdict{Why: why}
	}
	return p.verdict(ctx)
}

// kvmProbe is one try of the probe guest.
type kvmProbe struct {
	binary      string
	accelerator string
	device      string
	as          *syscall.Credential
	limit       time.Duration
}

// obstacle says why there is no use in trying, empty if there is none.
func (p kvmProbe) obstacle() string {
	device, err := os.OpenFile(p.device, os.O_RDWR, 0)
	if err == nil {
		_ = device.Close()
	}
	switch {
	case err == nil:
		return ""
	case errors.Is(err, fs.ErrNotExist):
		return "there is no " + p.device + ": turn virtualization (VT-x, AMD-V) on in the computer's firmware setup and load the kernel module with `modprobe kvm_intel` or `modprobe kvm_amd`"
	case errors.Is(err, fs.ErrPermission):
		return "this user may not open " + p.device + ": `sudo usermod -aG kvm $USER` and a new login allow it"
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return p.device + " is there but has no driver: load it with `modprobe kvm_intel` or `modprobe kvm_amd`"
	default:
		return fmt.Sprintf("%s cannot be opened: %v", p.device, err)
	}
}

// progress is how far a probe guest came.
type progress struct {
	said  string // the letters it wrote
	loop  time.Duration
	ended error  // of the process
	words string // what QEMU said
	late  bool   // the time was up
}

// verdict runs the guest and judges how it went.
func (p kvmProbe) verdict(ctx context.Context) Verdict {
	native := nativeLoop()
	result, err := p.run(ctx)
	native = min(native, nativeLoop()) // the host may have been busy once
	v := Verdict{Tried: true, Native: native}
	switch {
	case err != nil:
		v.Tried = false
		v.Why = fmt.Sprintf("the probe guest could not be started: %v", err)
	case strings.Contains(result.words, "ermission denied"):
		v.Tried = false
		v.Why = "the user that QEMU runs as may not open " + p.device + ": add that user to the group kvm"
	case result.said == "RPLE" && !result.late && exitStatus(result.ended) == romExit:
		v.Guest = result.loop
		v.judgeSpeed()
	case result.late:
		v.Why = fmt.Sprintf("%s opens, but a guest hangs %s (nothing more in %v): this computer is probably a virtual machine itself, whose host does not pass virtualization on properly",
			p.device, reached(result.said), p.limit)
	default:
		v.Why = fmt.Sprintf("%s opens, but a guest ends %s: %v %s", p.device, reached(result.said), result.ended, result.words)
	}
	return v
}

// judgeSpeed decides about a guest that came to its end.
func (v *Verdict) judgeSpeed() {
	ratio := float64(v.Guest) / float64(v.Native)
	v.Usable = ratio <= kvmSlowest
	if v.Usable {
		v.Why = fmt.Sprintf("a 64-bit guest ran at the host's speed (%.1f times its time)", ratio)
		return
	}
	v.Why = fmt.Sprintf("a 64-bit guest ran, but took %.1f times the host's own time: hardware virtualization is emulated here, so it is of no use", ratio)
}

// reached says in words how far a guest came.
func reached(said string) string {
	switch said {
	case "":
		return "before its first instruction"
	case "R":
		return "when it leaves 16-bit mode"
	case "RP":
		return "when it enters 64-bit mode"
	case "RPL":
		return "in a plain loop in 64-bit mode"
	}
	return "after its last instruction"
}

// run starts the guest and follows it to its end, or to the limit. The error
// is only for what kept QEMU from being started.
func (p kvmProbe) run(ctx context.Context) (progress, error) {
	rom, err := memoryFile("kvm-probe", romImage())
	if err != nil {
		return progress{}, err
	}
	defer rom.Close()
	ctx, cancel := context.WithTimeout(ctx, p.limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.binary, "-machine", "pc", "-accel", p.accelerator, "-cpu", "max", "-m", "8",
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-bios", "/proc/self/fd/3",
		"-chardev", "stdio,id=con", "-device", romPorts, "-device", romEnding)
	cmd.ExtraFiles = []*os.File{rom}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: p.as}
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return progress{}, err
	}
	if err := cmd.Start(); err != nil {
		return progress{}, err
	}
	result := follow(out)
	result.ended = cmd.Wait()
	result.late = ctx.Err() != nil
	result.words = strings.TrimSpace(said.String())
	return result, nil
}

// follow reads the guest's letters and takes the time between L and E.
func follow(out io.Reader) progress {
	var p progress
	var begin time.Time
	letter := make([]byte, 1)
	for {
		if _, err := io.ReadFull(out, letter); err != nil {
			return p
		}
		if len(p.said) < 64 { // a sound guest says four
			p.said += string(letter)
		}
		switch letter[0] {
		case 'L':
			begin = time.Now()
		case 'E':
			p.loop = time.Since(begin)
		}
	}
}

// exitStatus returns the status of a process that exited, -1 for another end.
func exitStatus(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return -1
}

// nativeLoop returns how long the host takes for the ROM's loop.
func nativeLoop() time.Duration {
	begin := time.Now()
	countDown(romLoops)
	return time.Since(begin)
}

// countDown is the ROM's loop; the compiler keeps it, as it keeps all loops.
//
//go:noinline
func countDown(n uint64) {
	for n != 0 {
		n--
	}
}

// memoryFile makes a file without a name that every user may open by
// /proc/self/fd.
func memoryFile(name string, data []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}
	file := os.NewFile(uintptr(fd), name)
	if _, err := file.Write(data); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("write a file in memory: %w", err)
	}
	return file, nil
}
