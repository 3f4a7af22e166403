package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// What is asked of a server. fio reads the first half of the disk, data and holes alike.
const (
	servedArea  = 3 << 30
	randomReads = 100_000
	benchReads  = 40_000
	benchStep   = 13*4096 + 64<<10 // leaps that come to every place within a block
)

// nbdServer makes the command that serves an image on a socket.
type nbdServer func(kind imageKind, image, socket string) []string

// nbdClient reads from a server, and says how long that took.
type nbdClient struct {
	name string
	read func(ctx context.Context, socket string) (time.Duration, error)
}

var nbdClients = []nbdClient{
	{"nbdcopy, requests of 1 MiB", func(ctx context.Context, socket string) (time.Duration, error) {
		return timed(command(ctx, "nbdcopy", "--no-extents", "--request-size=1048576", nbdURI(socket), "null:"))()
	}},
	{"nbdcopy by extents, requests of 1 MiB", func(ctx context.Context, socket string) (time.Duration, error) {
		return timed(command(ctx, "nbdcopy", "--request-size=1048576", nbdURI(socket), "null:"))()
	}},
	{"fio, sequential 1 MiB", func(ctx context.Context, socket string) (time.Duration, error) {
		return fio(ctx, socket, "--rw=read", "--bs=1m", "--iodepth=4")
	}},
	{"fio, random 4 KiB, 16 at once", func(ctx context.Context, socket string) (time.Duration, error) {
		return fio(ctx, socket, "--rw=randread", "--bs=4k", "--iodepth=16", "--number_ios="+strconv.Itoa(randomReads))
	}},
	{"fio, random 4 KiB, 1 at once", func(ctx context.Context, socket string) (time.Duration, error) {
		return fio(ctx, socket, "--rw=randread", "--bs=4k", "--iodepth=1", "--number_ios="+strconv.Itoa(randomReads/4))
	}},
	{"qemu-img bench, 4 KiB in leaps, 16 at once", func(ctx context.Context, socket string) (time.Duration, error) {
		return timed(command(ctx, "qemu-img", "bench", "-f", "raw", "-t", "none", "-c", strconv.Itoa(benchReads), "-d", "16", "-s", "4096",
			"-S", strconv.Itoa(benchStep), nbdURI(socket)))()
	}},
}

func nbdURI(socket string) string { return "nbd+unix:///?socket=" + socket }

func command(ctx context.Context, args ...string) func() error {
	return func() error { return runQuietly(exec.CommandContext(ctx, args[0], args[1:]...)) }
}

// fio reads by its NBD engine. Its own start, which takes longer than some of the work, does not count.
func fio(ctx context.Context, socket string, flags ...string) (time.Duration, error) {
	args := append([]string{
		"--name=read", "--ioengine=nbd", "--uri=" + nbdURI(socket), "--size=" + strconv.Itoa(servedArea), "--output-format=json", "--randseed=1",
	}, flags...)
	out, err := exec.CommandContext(ctx, "fio", args...).Output()
	if err != nil {
		return 0, fmt.Errorf("fio: %w: %s", err, out)
	}
	var told struct {
		Jobs []struct {
			Error int
			Read  struct {
				Runtime int64 `json:"runtime"` // ms
				Reads   int64 `json:"total_ios"`
			}
		}
	}
	if begin := bytes.IndexByte(out, '{'); begin > 0 { // behind what fio remarks
		out = out[begin:]
	}
	if err := json.Unmarshal(out, &told); err != nil {
		return 0, fmt.Errorf("read what fio says: %w", err)
	}
	if len(told.Jobs) != 1 || told.Jobs[0].Error != 0 || told.Jobs[0].Read.Reads == 0 {
		return 0, fmt.Errorf("fio read nothing: %s", out)
	}
	return time.Duration(told.Jobs[0].Read.Runtime) * time.Millisecond, nil
}

// measureNBD reads images over NBD, from `panal disk serve` and from qemu-nbd.
func measureNBD(ctx context.Context, b *bench) error {
	c, source, err := newConversions(ctx, b)
	if err != nil {
		return err
	}
	defer os.Remove(source)
	image := c.path("served")
	for _, kind := range []imageKind{{"vmdk", "vmdk", ""}, {"vdi", "vdi", ""}, {"qcow2", "qcow2", ""}} {
		if err := c.makeByQEMU(kind, source, image); err != nil {
			return err
		}
		for _, client := range nbdClients {
			spent, err := race(c.rounds, c.server("panal.sock", c.panalServe, kind, image, client), c.server("qemu.sock", qemuNBD, kind, image, client))
			if err != nil {
				return errors.Join(err, os.Remove(image))
			}
			c.report.add(row{
				work: kind.panal + " over NBD: " + client.name, ours: spent[0].String(), peer: "qemu-nbd " + spent[1].String(),
				compared: speed(spent), goal: "≥ 1 times", met: spent[1].wall.over(spent[0].wall) >= 1,
			})
		}
		if err := os.Remove(image); err != nil {
			return err
		}
	}
	return nil
}

func (c *conversions) panalServe(kind imageKind, image, socket string) []string {
	return []string{c.program, "disk", "serve", image, "--format", kind.panal, "--read-only", "--socket", socket}
}

func qemuNBD(kind imageKind, image, socket string) []string {
	return []string{"qemu-nbd", "--format", kind.qemu, "--read-only", "--persistent", "--shared=16", "--socket", socket, image}
}

// server makes a contestant of a server and a client. The time is the client's; the processors' time is the server's, from its
// start to its end.
func (c *conversions) server(name string, serve nbdServer, kind imageKind, image string, client nbdClient) func() (cost, error) {
	socket := c.path(name)
	return func() (cost, error) {
		_ = os.Remove(socket)
		args := serve(kind, image, socket)
		process := exec.CommandContext(c.ctx, args[0], args[1:]...)
		if err := process.Start(); err != nil {
			return cost{}, err
		}
		err := answering(c.ctx, socket)
		var took time.Duration
		if err == nil {
			took, err = client.read(c.ctx, socket)
		}
		_ = process.Process.Signal(syscall.SIGTERM)
		_ = process.Wait() // qemu-nbd ends with an error when it is told to
		if err != nil {
			return cost{}, fmt.Errorf("%s of what %s serves: %w", client.name, args[0], err)
		}
		return cost{took, processorTime(process.ProcessState)}, nil
	}
}

// answering waits until somebody listens on a socket.
func answering(ctx context.Context, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the server: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
