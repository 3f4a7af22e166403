package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"text/template"
)

// libvirt is a libvirtd of the benchmark's own, in libvirt's session mode: without root's cgroups, namespaces and change of
// owners, so at its quickest. Run as root it would not take that mode, and is run as nobody.
type libvirt struct {
	*service
	dir  string
	user *syscall.Credential // nil for our own
}

const nobody = 65534

// startLibvirt starts it on a scratch directory, which keeps its domains for the next one.
func startLibvirt(ctx context.Context, dir string) (*libvirt, error) {
	l := &libvirt{dir: dir}
	if os.Geteuid() == 0 {
		l.user = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	if err := l.prepare(); err != nil {
		return nil, err
	}
	program, err := exec.LookPath("libvirtd")
	if err != nil {
		program = "/usr/sbin/libvirtd" // which is not on a user's PATH
	}
	l.service, err = serve(ctx, l.command(program), dir)
	return l, err
}

// newLibvirt is startLibvirt for one that ends with the part.
func newLibvirt(ctx context.Context, b *bench) (*libvirt, error) {
	l, err := startLibvirt(ctx, b.fresh("libvirt"))
	if err == nil {
		b.onClose(l.close)
	}
	return l, err
}

// prepare makes the directories. QEMU writes the serial line's log itself (stdio_handler): libvirt's default sends it
// through one more daemon, which would be slower.
func (l *libvirt) prepare() error {
	for _, name := range []string{"", "run", "config", "config/libvirt", "cache", "data", "log"} {
		if err := l.makeDir(filepath.Join(l.dir, name)); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(l.dir, "config/libvirt/qemu.conf"), []byte("stdio_handler = \"file\"\n"), 0o644)
}

func (l *libvirt) makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return l.give(dir)
}

// give makes libvirt's user the owner of a file.
func (l *libvirt) give(path string) error {
	if l.user == nil {
		return nil
	}
	return os.Chown(path, int(l.user.Uid), int(l.user.Gid))
}

// command is a program that is run as libvirt's user in its directories.
func (l *libvirt) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = l.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "LIBVIRT_AUTOSTART=0", "HOME="+l.dir, "XDG_RUNTIME_DIR="+filepath.Join(l.dir, "run"), "XDG_CONFIG_HOME="+filepath.Join(l.dir, "config"),
		"XDG_CACHE_HOME="+filepath.Join(l.dir, "cache"), "XDG_DATA_HOME="+filepath.Join(l.dir, "data"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: l.user}
	return cmd
}

func (l *libvirt) virsh(args ...string) *exec.Cmd {
	return l.command("virsh", append([]string{"-q", "-c", "qemu:///session"}, args...)...)
}

// define makes domains known, in one virsh.
func (l *libvirt) define(domains ...domain) error {
	var commands strings.Builder
	for _, d := range domains {
		path := filepath.Join(l.dir, d.Name+".xml")
		if err := d.write(path); err != nil {
			return err
		}
		fmt.Fprintf(&commands, "define %s\n", path)
	}
	cmd := l.virsh()
	cmd.Stdin = strings.NewReader(commands.String())
	return runQuietly(cmd)
}

// close ends what still runs, and libvirtd.
func (l *libvirt) close() error {
	running, err := l.virsh("list", "--name").Output()
	errs := []error{err}
	for _, name := range strings.Fields(string(running)) {
		errs = append(errs, runQuietly(l.virsh("destroy", name)))
	}
	return errors.Join(append(errs, l.stop())...)
}

// domain is what goes into a domain's XML.
type domain struct {
	Name, MachineType, Kernel, Initrd, CommandLine string
	Memory                                         int64
	Log, Socket, Disk                              string
}

// write writes the domain's XML: the hardware that Panal's machine has.
func (d domain) write(path string) error {
	var xml strings.Builder
	if err := domainXML.Execute(&xml, d); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(xml.String()), 0o644)
}

// defineTiny defines the domain that libvirt starts, the twin of Panal's machine.
func (l *libvirt) defineTiny(b *bench, machineType string) (domain, error) {
	d := domain{
		Name: machineName, MachineType: machineType, Kernel: b.kernel, Initrd: b.initrd, CommandLine: commandLine,
		Memory: machineMemory, Log: filepath.Join(l.dir, "log", "serial.log"), Socket: filepath.Join(l.dir, "serial"),
	}
	// We empty the log and watch it, but libvirt's user has to own it.
	log, err := os.OpenFile(d.Log, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return d, err
	}
	return d, errors.Join(l.give(d.Log), log.Close(), l.define(d))
}

var domainXML = template.Must(template.New("domain").Parse(`<domain type='qemu'>
  <name>{{.Name}}</name>
  <memory unit='bytes'>{{.Memory}}</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='{{.MachineType}}'>hvm</type>
    {{- if .Kernel}}
    <kernel>{{.Kernel}}</kernel>
    <initrd>{{.Initrd}}</initrd>
    <cmdline>{{.CommandLine}}</cmdline>
    {{- end}}
  </os>
  <features><acpi/><apic/><vmport state='off'/></features>
  <cpu mode='maximum'/>
  <clock offset='utc'/>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    {{- if .Disk}}
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='{{.Disk}}'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    {{- end}}
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    <rng model='virtio'><backend model='builtin'/></rng>
    <panic model='isa'/>
    {{- if .Socket}}
    <serial type='unix'>
      <source mode='bind' path='{{.Socket}}'/>
      <log file='{{.Log}}' append='on'/>
      <target type='isa-serial' port='0'/>
    </serial>
    {{- end}}
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
  </devices>
</domain>
`))
