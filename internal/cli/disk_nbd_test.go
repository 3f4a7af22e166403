package cli_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/panalvm/panal/disk"
)

// nbdResize is the program that asks an NBD server to change its disk's size, by
// the extension of the protocol that no installed client knows:
//
//	nbdresize SOCKET SIZE
func nbdResize() {
	answer, err := askForSize(os.Args[1], os.Args[2])
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	case answer != 0:
		fmt.Println("refused with error", answer)
	default:
		fmt.Println("resized")
	}
}

// askForSize gives the server's answer: 0, or the number of an error.
func askForSize(socket, text string) (answer uint32, err error) {
	size, err := disk.ParseSize(text)
	if err != nil {
		return 0, err
	}
	c, err := net.Dial("unix", socket)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	greeting := make([]byte, 18)
	if _, err := io.ReadFull(c, greeting); err != nil || !bytes.HasPrefix(greeting, []byte("NBDMAGICIHAVEOPT")) {
		return 0, fmt.Errorf("the server greets with %q, %v", greeting, err)
	}
	const (
		noZeroes   = 3 // a client that knows the fixed handshake, and wants no padding
		exportName = 1 // the option that ends the handshake
		resize     = 8
	)
	hello := binary.BigEndian.AppendUint32(nil, noZeroes)
	hello = append(hello, "IHAVEOPT"...)
	hello = binary.BigEndian.AppendUint32(hello, exportName)
	hello = binary.BigEndian.AppendUint32(hello, 0) // the length of a name that is empty
	if _, err := c.Write(hello); err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(c, make([]byte, 10)); err != nil { // size and flags
		return 0, err
	}
	request := binary.BigEndian.AppendUint32(nil, 0x25609513)
	request = binary.BigEndian.AppendUint32(request, resize)
	request = append(request, "a cookie"...)
	request = binary.BigEndian.AppendUint64(request, uint64(size))
	request = binary.BigEndian.AppendUint32(request, 0)
	if _, err := c.Write(request); err != nil {
		return 0, err
	}
	reply := make([]byte, 16)
	if _, err := io.ReadFull(c, reply); err != nil || string(reply[8:]) != "a cookie" {
		return 0, fmt.Errorf("the server replies %q, %v", reply, err)
	}
	return binary.BigEndian.Uint32(reply[4:]), nil
}
