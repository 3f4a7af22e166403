package nbd_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/nbd"
	"github.com/panalvm/panal/internal/testenv"
)

// remote is our client of a server, closed with the test.
func remote(t testing.TB, socket string, o nbd.ClientOptions) *nbd.Client {
	t.Helper()
	c, err := nbd.Dial(t.Context(), socket, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestClientReadsWhatIsServed(t *testing.T) {
	m := mixed(1 << 20)
	_, socket := serve(t, nbd.Options{}, nbd.Export{Name: "all", Image: m}, nbd.Export{Name: "plain", Image: plain{m}})
	for _, o := range []nbd.ClientOptions{{Export: "all"}, {Export: "all", Constant: true}, {Export: "plain"}} {
		c := remote(t, socket, o)
		sameContent(t, c, m.content())
		for e, err := range disk.Extents(t.Context(), c, 0, c.Size()) {
			if err != nil {
				t.Fatal(err)
			}
			zero := len(bytes.Trim(m.content()[e.Off:e.End()], "\x00")) == 0
			if e.State == disk.Zeroed && !zero {
				t.Errorf("%+v: [%d,%d) is said to be zero", o, e.Off, e.End())
			}
			if e.State == disk.Data && zero && o.Export == "all" {
				t.Errorf("%+v: [%d,%d) is said to be data", o, e.Off, e.End())
			}
		}
	}
}

// sameContent reads an image in many goroutines, in pieces of all lengths.
func sameContent(t *testing.T, img disk.Image, want []byte) {
	t.Helper()
	if img.Size() != int64(len(want)) {
		t.Fatalf("it has %d bytes, want %d", img.Size(), len(want))
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				off := rand.IntN(len(want))
				p := make([]byte, 1+rand.IntN(256<<10))
				n, err := img.ReadAt(p, int64(off))
				if end := off+len(p) > len(want); end != errors.Is(err, io.EOF) || !end && err != nil {
					t.Errorf("read %d at %d: %v", len(p), off, err)
				}
				if !bytes.Equal(p[:n], want[off:min(off+len(p), len(want))]) {
					t.Errorf("what was read at %d is not what is there", off)
				}
			}
		})
	}
	all.Wait()
}

func TestClientReadsFromQEMU(t *testing.T) {
	program := testenv.Need(t, "qemu-nbd")
	m := mixed(3 << 20)
	dir := testenv.SocketDir(t)
	image, socket := filepath.Join(dir, "disk.raw"), filepath.Join(dir, "nbd")
	if err := os.WriteFile(image, m.content(), 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	passed, err := listener.File()
	if err != nil {
		t.Fatal(err)
	}
	server := exec.Command(program, "-r", "-f", "raw", "--detect-zeroes=on", "-x", "e", image)
	server.ExtraFiles = []*os.File{passed}
	server.Env = append(os.Environ(), "LISTEN_FDS=1")
	t.Cleanup(func() { _ = server.Process.Kill() })
	// It wants its own number as LISTEN_PID, which only a shell can give it.
	server.Path, server.Args = "/bin/sh", append([]string{"sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, program}, server.Args[1:]...)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	_ = passed.Close()
	c := remote(t, socket, nbd.ClientOptions{Export: "e"})
	sameContent(t, c, m.content())
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := server.Wait(); err != nil {
		t.Errorf("qemu-nbd, when its client has gone: %v", err)
	}
}

func TestClientSaysWhatTheServerRefuses(t *testing.T) {
	m := patterned(1 << 20)
	server, socket := serve(t, nbd.Options{}, nbd.Export{Name: "e", Image: m})
	if _, err := nbd.Dial(t.Context(), socket, nbd.ClientOptions{Export: "other"}); err == nil || !strings.Contains(err.Error(), "no such export") {
		t.Errorf("an export that is not there: %v", err)
	}
	if _, err := nbd.Dial(t.Context(), socket+"x", nbd.ClientOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a socket that is not there: %v", err)
	}
	c := remote(t, socket, nbd.ClientOptions{Export: "e"})
	for off, n := range map[int64]int64{-1: 5, 1 << 20: 1, 0: 0, 5: 1 << 20} {
		if _, err := c.Map(off, n); !errors.Is(err, disk.ErrRange) {
			t.Errorf("what is in [%d,+%d): %v", off, n, err)
		}
	}
	m.set(func(m *memory) { m.fail = errors.New("worn out") })
	if _, err := c.ReadAt(make([]byte, 10), 0); err == nil || !strings.Contains(err.Error(), "input/output error") {
		t.Errorf("an image that fails: %v", err)
	}
	m.set(func(m *memory) { m.fail = nil })
	if _, err := c.ReadAt(make([]byte, 10), 0); err != nil {
		t.Errorf("after a failure: %v", err)
	}
	_ = server.Close()
	if _, err := c.ReadAt(make([]byte, 10), 0); err == nil {
		t.Error("it reads without a server")
	}
}

func TestClientGivesUpWithItsContext(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := nbd.NewClient(ctx, ours, nbd.ClientOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a server that says nothing: %v", err)
	}
}

// wellMet is what a server says until the export is chosen.
func wellMet() []byte {
	p := []byte("NBDMAGICIHAVEOPT\x00\x03")
	reply := func(option, kind uint32, data []byte) {
		p = binary.BigEndian.AppendUint64(p, 0x0003e889045565a9)
		p = binary.BigEndian.AppendUint32(p, option)
		p = binary.BigEndian.AppendUint32(p, kind)
		p = append(binary.BigEndian.AppendUint32(p, uint32(len(data))), data...)
	}
	reply(optStructured, repAck, nil)
	reply(optSetMeta, repMeta, []byte("\x00\x00\x00\x01base:allocation"))
	reply(optSetMeta, repAck, nil)
	reply(optGo, repInfo, []byte("\x00\x00\x00\x00\x00\x00\x00\x10\x00\x00\x00\x03"))
	reply(optGo, repAck, nil)
	return p
}

// spoken is a chunk of a structured reply to the first request.
func spoken(flags, kind uint16, payload string) []byte {
	p := binary.BigEndian.AppendUint32(nil, 0x668e33ef)
	p = binary.BigEndian.AppendUint16(p, flags)
	p = binary.BigEndian.AppendUint16(p, kind)
	p = binary.BigEndian.AppendUint64(p, 1)
	return append(binary.BigEndian.AppendUint32(p, uint32(len(payload))), payload...)
}

// FuzzClient lets a server say anything: the client ends with an error or with what was
// said, and never with more.
func FuzzClient(f *testing.F) {
	at0 := "\x00\x00\x00\x00\x00\x00\x00\x00"
	f.Add(append(wellMet(), spoken(1, chunkData, at0+"0123456789abcdef")...), true)
	f.Add(append(append(wellMet(), spoken(0, chunkData, at0+"0123")...), spoken(1, chunkHole, at0[:7]+"\x04\x00\x00\x00\x0c")...), true)
	f.Add(append(wellMet(), spoken(1, chunkData, "\xff\xff\xff\xff\xff\xff\xff\xf0"+"0123456789abcdef")...), true)
	f.Add(append(wellMet(), spoken(1, chunkHole, at0+"\xff\xff\xff\xff")...), true)
	f.Add(append(wellMet(), spoken(1, chunkErr, "\x00\x00\x00\x05\x00\x02no")...), true)
	f.Add(append(wellMet(), spoken(1, chunkStatus, "\x00\x00\x00\x01\x00\x00\x10\x00\x00\x00\x00\x03")...), false)
	f.Add([]byte("NBDMAGIC"), false)
	f.Fuzz(func(t *testing.T, said []byte, reads bool) {
		ours, theirs := net.Pipe()
		go func() {
			_, _ = theirs.Write(said)
			_ = theirs.Close()
		}()
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		c, err := nbd.NewClient(t.Context(), ours, nbd.ClientOptions{Constant: true})
		if err != nil {
			return
		}
		defer c.Close()
		if reads {
			_, _ = c.ReadAt(make([]byte, 16), 0)
			return
		}
		if e, err := c.Map(0, min(16, max(1, c.Size()))); err == nil && (e.Off != 0 || e.Len < 1 || e.Len > 16) {
			t.Errorf("the extent %+v", e)
		}
	})
}
