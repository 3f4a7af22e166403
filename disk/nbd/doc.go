// Package nbd serves virtual disks of any format to NBD clients: QEMU, libnbd's
// tools, the Linux kernel. What is served is a [disk.Image], so a guest can run from
// formats and chains that QEMU itself cannot open.
//
//	server, err := nbd.New([]nbd.Export{{Image: img}}, nbd.Options{})
//	…
//	err = server.Serve(ctx, listener)      // returns when ctx is done, in flight finished, image synced
//
// # The wire
//
// The numbers are widths in bytes; all is big endian. A session begins with a
// handshake:
//
//	S: "NBDMAGIC" 8 │ "IHAVEOPT" 8 │ flags 2           C: flags 4
//	C: "IHAVEOPT" 8 │ option 4 │ length 4 │ data       any number of times,
//	S: magic 8 │ option 4 │ reply 4 │ length 4 │ data  each answered by one or several
//
// until GO or EXPORT_NAME chooses an export. Then come requests and replies, of
// which there are three styles, by what was negotiated:
//
//	request           magic 4 │ flags 2 │ type 2 │ cookie 8 │ offset 8 │ length 4 │ data to be written
//	extended request  magic 4 │ flags 2 │ type 2 │ cookie 8 │ offset 8 │ length 8 │ payload
//
//	simple reply      magic 4 │ error 4 │ cookie 8 │ data that was read
//	structured chunk  magic 4 │ flags 2 │ type 2 │ cookie 8 │ length 4 │ payload
//	extended chunk    magic 4 │ flags 2 │ type 2 │ cookie 8 │ offset 8 │ length 8 │ payload
//
// # Shape
//
//	Server ─ one conn a client ─┬─ the goroutine that reads requests; it does quick ones itself
//	                            ├─ workers, for those that may take long
//	                            └─ output: replies that are to be sent; whoever comes first writes for all
//
// Requests of a connection run at once and are answered in any order. What a
// client can make the server hold is bounded: Options.Memory bytes and
// Options.Workers requests for each of Options.MaxConnections connections.
//
// # Sources
//
// The protocol is doc/proto.md of the repository NetworkBlockDevice/nbd; its
// branches extension-ext-header and extension-resize describe the two
// experimental extensions. The qemu: contexts are in QEMU's docs/interop/nbd.txt.
package nbd
