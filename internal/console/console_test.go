package console

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
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

// guest is where QEMU would be: it appends to the log, and reads what is typed.
type guest struct {
	io.Writer
	io.Reader
}

// openHub gives a hub and the guest's end of its line.
func openHub(t *testing.T, log *Log) (*Hub, guest) {
	t.Helper()
	out, err := os.OpenFile(log.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	watcher, err := NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	typed, keys := io.Pipe()
	hub, err := Open(watcher, keys, log, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		hub.Close()
		if err := watcher.Close(); err != nil {
			t.Error(err)
		}
		_ = out.Close()
	})
	return hub, guest{out, typed}
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
	hub.Close()
	got, err := io.ReadAll(slow)
	if err != nil || len(got) > backlog+len(lost) || !strings.Contains(string(got), "output was lost") {
		t.Errorf("the slow viewer got %d bytes, %v", len(got), err)
	}
}

func TestViewersEndWithTheLineAfterAllThatWasPrinted(t *testing.T) {
	hub, guest := openHub(t, emptyLog(t))
	viewer := hub.Attach(0)
	fmt.Fprint(guest, "last words")
	hub.Close()
	if got, err := io.ReadAll(viewer); err != nil || string(got) != "last words" {
		t.Errorf("read gave %q, %v", got, err)
	}
	if _, err := hub.Attach(0).Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a viewer of an ended line read %v", err)
	}
	if _, err := viewer.Write([]byte("x")); err != io.ErrClosedPipe {
		t.Errorf("write gave %v", err)
	}
}

// TestLogIsNotCutBeforeItWasRead holds a hub up at its viewers, as a stopped daemon would be, while the guest prints
// much more than the log may keep.
func TestLogIsNotCutBeforeItWasRead(t *testing.T) {
	log := OpenLog(filepath.Join(t.TempDir(), "log"), 64<<10)
	hub, guest := openHub(t, log)
	viewer := hub.Attach(0)
	fmt.Fprint(guest, "begin ")
	expect(t, viewer, "begin ")
	hub.mu.Lock() // the pump waits at the next it reads
	piece := strings.Repeat("x", 1<<10-1) + "\n"
	for range 200 {
		fmt.Fprint(guest, piece)
	}
	hub.mu.Unlock()
	expect(t, viewer, strings.Repeat(piece, 200))
	hub.Close()
	if info, err := os.Stat(log.path); err != nil || info.Size() > 64<<10 {
		t.Errorf("the log was not trimmed afterwards: %v, %v", info.Size(), err)
	}
}

func TestEmptiedLogIsFollowedFromItsBeginning(t *testing.T) {
	log := emptyLog(t)
	hub, guest := openHub(t, log)
	viewer := hub.Attach(0)
	fmt.Fprint(guest, "what somebody takes away")
	expect(t, viewer, "what somebody takes away")
	if err := os.Truncate(log.path, 0); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(guest, "new")
	expect(t, viewer, "new")
}

func TestWatcherTellsEachOfItsOwn(t *testing.T) {
	watcher, err := NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	watch := func(name string) (path string, grown <-chan struct{}, stop func()) {
		path = filepath.Join(dir, name)
		appendTo(t, path, "")
		grown, stop, err := watcher.Watch(path)
		if err != nil {
			t.Fatal(err)
		}
		return path, grown, stop
	}
	a, first, stopFirst := watch("a")
	_, second, stopSecond := watch("a")
	_, other, stopOther := watch("b")
	appendTo(t, a, "x")
	<-first
	<-second
	stopFirst()
	appendTo(t, a, "y")
	<-second
	select {
	case <-other:
		t.Error("told of another file")
	case <-first:
		t.Error("told after stop")
	default:
	}
	stopSecond()
	stopOther()
	if len(watcher.watched) != 0 {
		t.Errorf("still watched: %v", watcher.watched)
	}
	if _, _, err := watcher.Watch(filepath.Join(dir, "missing")); err == nil {
		t.Error("a file that is not there is watched")
	}
	if err := watcher.Close(); err != nil {
		t.Error(err)
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// cutters are the ways to cut a log; rewrite is where collapse does not work.
func cutters(t *testing.T, check func(t *testing.T, cut func(*os.File, int64) (int64, error))) {
	t.Run("collapse", func(t *testing.T) { check(t, collapse) })
	t.Run("rewrite", func(t *testing.T) { check(t, rewrite) })
}

func TestCutKeepsTheNewestAndWhatIsAppendedAfter(t *testing.T) {
	cutters(t, func(t *testing.T, cut func(*os.File, int64) (int64, error)) {
		path := filepath.Join(t.TempDir(), "log")
		var all strings.Builder
		for i := range 20_000 {
			fmt.Fprintf(&all, "line %d\n", i)
		}
		appendTo(t, path, all.String())
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		gone, err := cut(file, 100_000)
		if errors.Is(err, unix.EOPNOTSUPP) {
			t.Skip("the file system cannot cut a file at its beginning")
		}
		if err != nil || gone > 100_000 || gone < 90_000 {
			t.Fatalf("%d bytes were cut, %v", gone, err)
		}
		appendTo(t, path, "the end\n")
		if got, err := os.ReadFile(path); err != nil || string(got) != all.String()[gone:]+"the end\n" {
			t.Errorf("the log has %d bytes after %d of %d were cut, %v", len(got), gone, all.Len(), err)
		}
	})
}

func TestLogStaysWithinItsBoundWhileItIsAppendedTo(t *testing.T) {
	log := OpenLog(filepath.Join(t.TempDir(), "log"), 256<<10)
	hub, guest := openHub(t, log)
	var last string
	for i := range 20_000 {
		last = fmt.Sprintf("line %d of what a guest printed in its long life\n", i)
		fmt.Fprint(guest, last)
	}
	hub.Close()
	text, err := os.ReadFile(log.path)
	if err != nil || len(text) > 256<<10+32<<10 || len(text) < 100<<10 {
		t.Errorf("the log has %d bytes, %v", len(text), err)
	}
	if !bytes.HasSuffix(text, []byte(last)) {
		t.Error("the log's end is wrong")
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
