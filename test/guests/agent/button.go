//go:build linux

package main

import (
	"encoding/binary"
	"io"
	"log"
	"os"
)

// An input event (linux/input.h) on a 64-bit machine: two words of time, then type, code and value.
const (
	inputEventSize = 24
	eventKey       = 1
	keyPower       = 116
	pressed        = 1
)

// awaitPowerButton powers the guest off when the device reports the power button; it returns when the device is gone.
func awaitPowerButton(device string) {
	file, err := os.Open(device)
	if err != nil {
		log.Print(err)
		return
	}
	defer file.Close()
	event := make([]byte, inputEventSize)
	for {
		if _, err := io.ReadFull(file, event); err != nil {
			return
		}
		if isPowerButton(event) {
			powerOff()
		}
	}
}

func isPowerButton(event []byte) bool {
	return binary.NativeEndian.Uint16(event[16:]) == eventKey &&
		binary.NativeEndian.Uint16(event[18:]) == keyPower &&
		binary.NativeEndian.Uint32(event[20:]) == pressed
}
