package nbd_test

import (
	"context"
	"fmt"
	"io"
	"net"

	"github.com/panalvm/panal/disk/nbd"
)

// A server is made of exports, and serves until its context ends.
func Example() {
	server, err := nbd.New([]nbd.Export{{Name: "web", Image: patterned(1 << 20), ReadOnly: true}}, nbd.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	served := make(chan error)
	go func() { served <- server.Serve(ctx, listener) }()

	// nbdinfo nbd://127.0.0.1:PORT/web would say more.
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	greeting := make([]byte, 16)
	_, err = io.ReadFull(client, greeting)
	fmt.Println(string(greeting), err, client.Close())

	stop()
	fmt.Println(<-served)
	// Output:
	// NBDMAGICIHAVEOPT <nil> <nil>
	// <nil>
}
