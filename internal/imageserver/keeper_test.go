package imageserver

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/panalvm/panal/internal/process"
	"github.com/panalvm/panal/internal/testenv"
)

func TestServersThatEndAtOnceAreStartedEverMoreSeldom(t *testing.T) {
	wait, all := time.Duration(-1), []time.Duration{}
	for _, lived := range []time.Duration{time.Hour, 0, 0, time.Second, 0, 0, 0, 0, time.Minute, 0} {
		wait = nextWait(wait, lived)
		all = append(all, wait)
	}
	want := []time.Duration{0, leastWait, 2 * leastWait, 4 * leastWait, 8 * leastWait, 16 * leastWait, mostWait, mostWait, 0, leastWait}
	for i := range want {
		if all[i] != want[i] {
			t.Fatalf("the pauses are %v, want %v", all, want)
		}
	}
	if nextWait(-1, 0) != 0 {
		t.Error("the first time there is a pause")
	}
}

// A daemon must not take a socket that is there for a server.
func TestAServerIsFoundByWhoListens(t *testing.T) {
	dir := Dir(filepath.Join(testenv.SocketDir(t), "i", "m"))
	if dir.exists() {
		t.Error("it is there before it is made")
	}
	if err := dir.make(nil); err != nil {
		t.Fatal(err)
	}
	listener, err := dir.listen(nil)
	if err != nil {
		t.Fatal(err)
	}
	served, err := net.FileListener(listener)
	if err != nil {
		t.Fatal(err)
	}
	served.(*net.UnixListener).SetUnlinkOnClose(false)
	go func() {
		for {
			conn, err := served.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("NBDMAGIC"))
			_ = conn.Close()
		}
	}()
	found, err := dir.Find(filepath.Base(os.Args[0]))
	if err != nil || found.PID != os.Getpid() {
		t.Errorf("found %+v, %v", found, err)
	}
	if _, err := dir.Find("another machine"); !errors.Is(err, process.ErrGone) {
		t.Errorf("a process of another machine: %v", err)
	}
	_ = served.Close()
	_ = listener.Close()
	if _, err := dir.Find(filepath.Base(os.Args[0])); !errors.Is(err, process.ErrGone) {
		t.Errorf("nobody listens: %v", err)
	}
	again, err := dir.listen(nil) // in the place of the one that was left
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
	if err := EndStray(t.Context(), dir, "m"); err != nil || dir.exists() {
		t.Errorf("what is left: %v", err)
	}
}
