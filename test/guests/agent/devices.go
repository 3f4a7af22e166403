//go:build linux

package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// disks lists what the guest sees, one a line: name, bytes, serial number or "-", rw or ro.
func disks([]string) (string, error) {
	paths, err := filepath.Glob("/sys/block/*/device")
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for _, path := range paths {
		dir := filepath.Dir(path)
		sectors, err := strconv.ParseInt(readTrimmed(filepath.Join(dir, "size")), 10, 64)
		if err != nil {
			return "", err
		}
		mode := "rw"
		if readTrimmed(filepath.Join(dir, "ro")) == "1" {
			mode = "ro"
		}
		fmt.Fprintf(&out, "%s %d %s %s\n", filepath.Base(dir), sectors*512, cmp.Or(serialNumber(dir), "-"), mode)
	}
	return out.String(), nil
}

// serialNumber looks where virtio, NVMe and SCSI disks have it.
func serialNumber(dir string) string {
	serial := cmp.Or(readTrimmed(filepath.Join(dir, "serial")), readTrimmed(filepath.Join(dir, "device", "serial")))
	if serial == "" {
		// Vital product data page 80: four bytes of header, then the number.
		if page, _ := os.ReadFile(filepath.Join(dir, "device", "vpd_pg80")); len(page) > 4 {
			serial = string(page[4:])
		}
	}
	return strings.ReplaceAll(strings.Trim(serial, " \x00\n"), " ", "_")
}

// nics lists network interfaces, one a line: name, hardware address, driver, link state, addresses with commas or "-".
func nics([]string) (string, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for _, i := range interfaces {
		driver, err := os.Readlink(filepath.Join("/sys/class/net", i.Name, "device", "driver"))
		if err != nil {
			continue // not a device
		}
		state := readTrimmed(filepath.Join("/sys/class/net", i.Name, "operstate"))
		fmt.Fprintf(&out, "%s %s %s %s %s\n", i.Name, i.HardwareAddr, filepath.Base(driver), state, addresses(i))
	}
	return out.String(), nil
}

func addresses(i net.Interface) string {
	list, _ := i.Addrs()
	var texts []string
	for _, address := range list {
		texts = append(texts, address.String())
	}
	return cmp.Or(strings.Join(texts, ","), "-")
}

// readDigest gives the SHA-256 of part of a device: read DEV OFFSET LENGTH.
func readDigest(args []string) (string, error) {
	if len(args) != 3 {
		return "", errors.New("want: read DEV OFFSET LENGTH")
	}
	offset, err1 := strconv.ParseInt(args[1], 10, 64)
	length, err2 := strconv.ParseInt(args[2], 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return "", err
	}
	file, err := os.Open(devicePath(args[0]))
	if err != nil {
		return "", err
	}
	defer file.Close()
	digest := sha256.New()
	n, err := io.Copy(digest, io.NewSectionReader(file, offset, length))
	if err == nil && n < length {
		err = fmt.Errorf("%s ends after %d of %d bytes", args[0], n, length)
	}
	return hex.EncodeToString(digest.Sum(nil)), err
}

// writeText writes text to a device and waits until it is stable there: write DEV OFFSET TEXT.
func writeText(args []string) (string, error) {
	if len(args) < 3 {
		return "", errors.New("want: write DEV OFFSET TEXT")
	}
	offset, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return "", err
	}
	file, err := os.OpenFile(devicePath(args[0]), os.O_WRONLY, 0)
	if err != nil {
		return "", err
	}
	defer file.Close()
	if _, err := file.WriteAt([]byte(strings.Join(args[2:], " ")), offset); err != nil {
		return "", err
	}
	return "", file.Sync()
}

func devicePath(name string) string {
	if strings.HasPrefix(name, "/") {
		return name
	}
	return "/dev/" + name
}
