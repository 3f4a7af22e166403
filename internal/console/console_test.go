package console

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestRingKeepsTheLastBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 50).Draw(t, "size")
		r := newRing(size)
		var all []byte
		for _, piece := range rapid.SliceOf(rapid.SliceOfN(rapid.Byte(), 0, 70)).Draw(t, "pieces") {
			_, _ = r.Write(piece)
			all = append(all, piece...)
		}
		n := rapid.IntRange(0, 60).Draw(t, "n")
		want := all[max(0, len(all)-min(n, size)):]
		if got := r.tail(n); !bytes.Equal(got, want) {
			t.Fatalf("tail(%d) of %d bytes in a ring of %d is %q, want %q", n, len(all), size, got, want)
		}
	})
}

// openHub gives a hub and the guest's end of its line.
func openHub(t *testing.T, log *Log) (*Hub, net.Conn) {
	t.Helper()
	guest, line := net.Pipe()
	hub := Open(line, log, slog.New(slog.DiscardHandler))
	t.Cleanup(func() { _ = guest.Close(); hub.Close() })
	return hub, guest
}

func emptyLog(t *testing.T) *Log { return OpenLog(filepath.Join(t.TempDir(), "log"), 1<<20) }

func expect(t *testing.T, from io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(from, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v; want %q", got, err, want)
	}
}

func TestEveryViewerSeesAllAndTheLateOneWhatWasBefore(t *testing.T) {
	hub, guest := openHub(t, emptyLog(t))
	early := hub.Attach(0)
	fmt.Fprint(guest, "hello ")
	expect(t, early, "hello ")
	late := hub.Attach(100)
	fmt.Fprint(guest, "world")
	expect(t, early, "world")
	expect(t, late, "hello world")
}

func TestTypedBytesReachTheGuest(t *testing.T) {
	hub, guest := openHub(t, emptyLog(t))
	viewer := hub.Attach(0)
	go func() { _, _ = viewer.Write([]byte("ls\r")) }()
	expect(t, guest, "ls\r")
}

func TestScrollbackBeginsWithTheLog(t *testing.T) {
	log := emptyLog(t)
	if err := os.WriteFile(log.path, []byte("before the daemon came"), 0o600); err != nil {
		t.Fatal(err)
	}
	hub, _ := openHub(t, log)
	expect(t, hub.Attach(1000), "before the daemon came")
}

func TestSlowViewerLosesOutputAndHoldsUpNobody(t *testing.T) {
	hub, guest := openHub(t, emptyLog(t))
	slow, quick := hub.Attach(0), hub.Attach(0)
	piece := bytes.Repeat([]byte("."), 32<<10)
	for range 2 * backlog / len(piece) {
		if _, err := guest.Write(piece); err != nil {
			t.Fatal(err)
		}
		expect(t, quick, string(piece))
	}
	_ = guest.Close()
	got, err := io.ReadAll(slow)
	if err != nil || len(got) > backlog+len(lost) || !strings.Contains(string(got), "output was lost") {
		t.Errorf("the slow viewer got %d bytes, %v", len(got), err)
	}
}

func TestViewersEndWithTheLine(t *testing.T) {
	hub, guest := openHub(t, emptyLog(t))
	viewer := hub.Attach(0)
	_ = guest.Close()
	if _, err := viewer.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read gave %v", err)
	}
	if _, err := hub.Attach(0).Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a viewer of an ended line read %v", err)
	}
	if _, err := viewer.Write([]byte("x")); err != io.ErrClosedPipe {
		t.Errorf("write gave %v", err)
	}
}

func TestLogStaysWithinItsBoundWhileItIsAppendedTo(t *testing.T) {
	log := OpenLog(filepath.Join(t.TempDir(), "log"), 256<<10)
	out, err := os.OpenFile(log.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	var last string
	for i := range 20_000 {
		last = fmt.Sprintf("line %d of what a guest printed in its long life\n", i)
		n, err := out.WriteString(last)
		if err != nil {
			t.Fatal(err)
		}
		if err := log.Grown(n); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(log.path)
	if err != nil || info.Size() > 256<<10+32<<10 || info.Size() < 100<<10 {
		t.Errorf("the log has %d bytes, %v", info.Size(), err)
	}
	text, err := log.Tail(1 << 20)
	if err != nil || !bytes.HasSuffix(text, []byte(last)) {
		t.Errorf("the log's end is wrong: %v", err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for i := 2; i < len(lines); i++ {
		var a, b int
		_, _ = fmt.Sscanf(lines[i-1], "line %d", &a)
		if _, err := fmt.Sscanf(lines[i], "line %d", &b); err != nil || b != a+1 {
			t.Fatalf("line %q follows %q", lines[i], lines[i-1])
		}
	}
}
