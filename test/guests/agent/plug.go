//go:build linux

package main

import (
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// plugger puts devices to use, those there at the start and those that come.
type plugger struct {
	modules *loader

	// mu guards serving and clients.
	mu sync.Mutex
	// serving holds the device files and network interfaces that are attended to.
	serving map[string]bool
	// clients are the DHCP clients that run, by interface.
	clients map[string]*os.Process
}

func newPlugger(modules *loader) *plugger {
	return &plugger{modules: modules, serving: map[string]bool{}, clients: map[string]*os.Process{}}
}

// existing attends to everything that is there.
func (p *plugger) existing() {
	p.lines()
	p.buttons()
	interfaces, _ := filepath.Glob("/sys/class/net/*/device")
	for _, path := range interfaces {
		p.network(filepath.Base(filepath.Dir(path)))
	}
}

// handle attends to what an event brought.
func (p *plugger) handle(event uevent) {
	if event["ACTION"] == "remove" && event["SUBSYSTEM"] == "net" {
		p.unplugged(event["INTERFACE"])
	}
	if event["ACTION"] != "add" {
		return
	}
	if alias := event["MODALIAS"]; alias != "" {
		p.modules.serve(alias)
	}
	switch event["SUBSYSTEM"] {
	case "cpu":
		write(filepath.Join("/sys", event["DEVPATH"], "online"), "1")
	case "net":
		p.network(event["INTERFACE"])
	case "tty", "virtio-ports":
		p.lines()
	case "input":
		p.buttons()
	}
}

// lines serves every line that is not served yet.
func (p *plugger) lines() {
	for _, device := range findLines() {
		if !p.claim(device) {
			continue
		}
		line, err := openLine(device)
		if err != nil {
			log.Print(err)
			p.release(device)
			continue
		}
		go func() {
			defer p.release(device)
			line.serve()
		}()
	}
}

// buttons listens to every input device that is not listened to yet.
func (p *plugger) buttons() {
	devices, _ := filepath.Glob("/dev/input/event*")
	for _, device := range devices {
		if p.claim(device) {
			go func() {
				defer p.release(device)
				awaitPowerButton(device)
			}()
		}
	}
}

// network asks for an address for a network interface, unless that is going on: the kernel's word of an interface may
// come after the interface has been found.
func (p *plugger) network(name string) {
	if name == "" || name == "lo" || !p.claim(name) {
		return
	}
	run("ip", "link", "set", name, "up")
	client := exec.Command("udhcpc", "-f", "-i", name, "-s", "/etc/udhcpc", "-t", "5", "-T", "1", "-A", "2")
	if err := client.Start(); err != nil {
		log.Print(err)
		p.release(name)
		return
	}
	p.mu.Lock()
	p.clients[name] = client.Process
	p.mu.Unlock()
	go func() {
		client.Wait() //nolint:errcheck // it is ended when its interface goes
		p.release(name)
	}()
}

// unplugged ends the DHCP client of an interface that is gone.
func (p *plugger) unplugged(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if client := p.clients[name]; client != nil {
		client.Kill() //nolint:errcheck // it may have ended by itself
		delete(p.clients, name)
	}
}

// claim reports whether nobody attended to the device before.
func (p *plugger) claim(device string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.serving[device] {
		return false
	}
	p.serving[device] = true
	return true
}

func (p *plugger) release(device string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.serving, device)
}

func run(name string, args ...string) {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		log.Printf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

func write(path, text string) {
	if err := os.WriteFile(path, []byte(text), 0); err != nil {
		log.Print(err)
	}
}
