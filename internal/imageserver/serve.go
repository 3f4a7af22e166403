package imageserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/disk/nbd"
	"github.com/panalvm/panal/disk/tarfs"
	"github.com/panalvm/panal/internal/process"
)

// Command is the argument by which this program is an image server.
const Command = "image-server"

// memoryGoal is from how much memory on the server takes trouble to need no more.
const memoryGoal = 256 << 20

// Run is the image server: it serves what its descriptors say until QEMU has
// ended, and returns the process's exit code.
func Run() int {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := run(log); err != nil {
		log.Error("the image server ended", "error", err)
		return 1
	}
	return 0
}

func run(log *slog.Logger) error {
	debug.SetMemoryLimit(memoryGoal)
	setName("panal-images")
	// A host that shuts down tells all its processes to end, and QEMU still has
	// to flush then. This one ends when QEMU has.
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	if err := confine(); errors.Is(err, errors.ErrUnsupported) {
		log.Warn("this server could open files of its user: the program was built with cgo", "error", err)
	} else if err != nil {
		return err
	}
	p, err := readPlan()
	if err != nil {
		return fmt.Errorf("read the plan: %w", err)
	}
	images, err := openAll(p)
	if err != nil {
		return errors.Join(err, closeAll(images))
	}
	err = serve(p, images, log)
	return errors.Join(err, closeAll(images))
}

// serve serves the images until QEMU has ended.
func serve(p plan, images []disk.Image, log *slog.Logger) error {
	var exports []nbd.Export
	for i, image := range p.Images {
		exports = append(exports, nbd.Export{Name: image.Export, Image: images[i], ReadOnly: !image.Write})
	}
	server, err := nbd.New(exports, nbd.Options{Log: log, MaxConnections: 2*len(exports) + 16})
	if err != nil {
		return err
	}
	listener, err := listenAgain()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	machine := process.Held(qemuFD)
	go func() {
		<-machine.Done()
		cancel()
	}()
	return server.Serve(ctx, listener)
}

// listenAgain takes over the socket that the daemon has made: who connects from
// now on is told that it is this process that listens.
func listenAgain() (net.Listener, error) {
	if err := unix.Listen(listenerFD, unix.SOMAXCONN); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	file := os.NewFile(listenerFD, "images")
	listener, err := net.FileListener(file)
	return listener, errors.Join(err, file.Close())
}

// openAll opens the images of a plan.
func openAll(p plan) ([]disk.Image, error) {
	var images []disk.Image
	for _, planned := range p.Images {
		img, err := planned.open()
		if err != nil {
			return images, fmt.Errorf("drive %s: %w", planned.Export, err)
		}
		images = append(images, img)
	}
	return images, nil
}

func closeAll(images []disk.Image) error {
	var errs []error
	for _, img := range images {
		errs = append(errs, img.Close())
	}
	return errors.Join(errs...)
}

// open opens an image from the descriptors that were handed over.
func (p planned) open() (disk.Image, error) {
	files, err := played(p.transcript)
	if err != nil {
		return nil, err
	}
	img, err := disk.Open(p.Name, disk.Options{
		FS: tarfs.Over(files), Formats: formats.All(), Format: p.Format, Snapshot: p.Snapshot, Write: p.Write,
	})
	if err != nil || !p.Write {
		return img, err
	}
	j, err := openJournal(img, os.NewFile(uintptr(p.Journal), "journal"))
	if err != nil {
		return nil, errors.Join(err, img.Close())
	}
	return j, nil
}
