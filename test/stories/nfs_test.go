package stories

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/rogpeppe/go-internal/testscript"
	nfs "github.com/willscott/go-nfs"
	helper "github.com/willscott/go-nfs/helpers"
)

// served over NFS version 3: a directory, on a loopback address of this process's own, until the story ends.
// The library serves the files; who they are found by is here:
//
//	client ── port 111: where is program 100005? 100003? ──► portmapper     (RFC 1833, 3.1)
//	       ── port 111: MNT /directory ──► the root's file handle          (RFC 1813, 5.2)
//	       ── LOOKUP, READ, WRITE … ──► the library
func serveNFS(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "nfs VARIABLE DIR")
	pid := os.Getpid()
	address := fmt.Sprintf("127.111.%d.%d", pid>>8&0xff, pid&0xff)
	front, err := net.Listen("tcp", address+":111")
	if errors.Is(err, syscall.EACCES) {
		worldOf(ts).t.Skip("a portmapper takes a port that only root may listen on")
	}
	ts.Check(err)
	ts.Defer(func() { _ = front.Close() })
	files, err := net.Listen("tcp", address+":0")
	ts.Check(err)
	ts.Defer(func() { _ = files.Close() })
	dir := osfs.New(ts.MkAbs(args[1]))
	handler := helper.NewCachingHandler(helper.NewNullAuthHandler(dir), 1024)
	go func() { _ = nfs.Serve(files, handler) }()
	mapper := portmapper{root: handler.ToHandle(dir, nil), files: uint32(files.Addr().(*net.TCPAddr).Port)}
	go mapper.serve(front)
	ts.Setenv(args[0], address)
}

// The programs and procedures that a client asks for before it opens a file.
const (
	programMapper, programNFS, programMount = 100000, 100003, 100005
	getPort, mount, export                  = 3, 1, 5
)

// portmapper answers where the others are, and what the root's handle is.
type portmapper struct {
	root  []byte
	files uint32 // port of the file server
}

func (p portmapper) serve(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go p.talk(conn)
	}
}

// talk answers the calls of a connection, each one record (RFC 5531, 11).
func (p portmapper) talk(conn net.Conn) {
	defer conn.Close()
	for {
		var head [4]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return
		}
		call := make([]byte, binary.BigEndian.Uint32(head[:])&0xffff)
		if _, err := io.ReadFull(conn, call); err != nil || len(call) < 40 {
			return
		}
		answer := p.answer(call)
		binary.BigEndian.PutUint32(head[:], uint32(len(answer))|1<<31)
		if _, err := conn.Write(append(head[:], answer...)); err != nil {
			return
		}
	}
}

// answer is the reply to a call: accepted, with no verifier, and what it returns.
func (p portmapper) answer(call []byte) []byte {
	word := func(at int) uint32 { return binary.BigEndian.Uint32(call[at:]) }
	answer := append([]byte{}, call[:4]...)
	add := func(words ...uint32) {
		for _, w := range words {
			answer = binary.BigEndian.AppendUint32(answer, w)
		}
	}
	add(1, 0, 0, 0, 0)
	switch program, procedure := word(12), word(20); {
	case program == programMapper && procedure == getPort:
		port := uint32(111)
		if arguments := 40 + int(word(28)+3)&^3; len(call) >= arguments+4 && word(arguments) == programNFS {
			port = p.files
		}
		add(port)
	case program == programMount && procedure == mount:
		add(0, uint32(len(p.root)))
		answer = append(answer, p.root...)
		for len(answer)%4 != 0 {
			answer = append(answer, 0)
		}
		add(1, 1) // one way to say who one is: by user and group
	case program == programMount && procedure == export:
		add(0)
	}
	return answer
}
