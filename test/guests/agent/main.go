//go:build linux

// Command agent runs inside the tiny guest: it answers the commands of test/guests/README.md on every line it finds
// (serial ports but the console, virtio consoles, virtio serial ports), and does for the guest what udev, modprobe, a
// DHCP client and acpid do for a grown system.
//
// It is built from the standard library alone, because the builder compiles it apart from the module.
//
// It is started as "agent MODULES LIST": the directory with the kernel's modules, and the file that names those to be
// loaded whatever devices there are. It closes its file descriptor 3 once it listens everywhere.
package main

import (
	"log"
	"os"
	"strings"
)

const readyDescriptor = 3

func main() {
	log.SetFlags(log.Lmicroseconds)
	if len(os.Args) != 3 {
		log.Fatal("want: agent MODULES LIST")
	}
	if err := attend(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

// attend brings up what is there, says so, and goes on with what comes.
func attend(modules, list string) error {
	events, err := listenKernel() // first, so that nothing is missed
	if err != nil {
		return err
	}
	loader, err := newLoader(modules)
	if err != nil {
		return err
	}
	for _, name := range strings.Fields(readTrimmed(list)) {
		loader.load(name)
	}
	loader.existing()
	p := newPlugger(loader)
	p.existing()
	os.NewFile(readyDescriptor, "ready").Close()
	for {
		event, err := events.next()
		if err != nil {
			return err
		}
		p.handle(event)
	}
}
