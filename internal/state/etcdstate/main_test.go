package etcdstate_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/panalvm/panal/internal/state"
	"github.com/panalvm/panal/internal/state/etcdstate"
)

// childDir and childMode make the test program a child that works on a store until
// it is killed or told to end by its mode.
const (
	childDir  = "STATE_TEST_CHILD_DIR"
	childMode = "STATE_TEST_CHILD_MODE"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(child(dir, os.Getenv(childMode)))
	}
	os.Exit(m.Run())
}

// child commits numbered keys for ever and prints the number of each that was
// acknowledged. In mode "fill" it keeps no space free, and ends with the first error.
func child(dir, mode string) int {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // which ends with the parent
		os.Exit(2)
	}()
	cfg := etcdstate.Config{Dir: dir}
	size := 100
	if mode == "fill" {
		cfg.MinFree, size = -1<<40, 200_000
	}
	if mode == "opening" {
		fmt.Println("0")
	}
	s, err := etcdstate.Open(context.Background(), cfg)
	if err != nil {
		fmt.Println("error:", err)
		return 1
	}
	at, err := s.Revision(context.Background())
	for i := int64(at); err == nil; i++ {
		if _, err = s.Commit(context.Background(), state.Create(numbered(i), numberedValue(i, size)), state.Put("latest", fmt.Append(nil, i))); err == nil {
			fmt.Println(i)
		}
	}
	fmt.Println("error:", err)
	_, err = s.Commit(context.Background(), state.Put("again", nil))
	fmt.Println("error:", err)
	fmt.Println("error:", s.Close())
	return 0
}

func numbered(i int64) string { return fmt.Sprintf("n/%012d", i) }

func numberedValue(i int64, size int) []byte {
	return []byte(strings.Repeat(strconv.FormatInt(i, 10)+" ", size/8))
}

// runChild runs a child on dir, kills it when it has acknowledged kill commits (never,
// if 0), and returns the numbers of all it acknowledged and the errors it printed.
func runChild(t *testing.T, dir, mode string, kill int) (acknowledged []int64, printed []string) {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), childDir+"="+dir, childMode+"="+mode)
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	// Kept open until the child is to end; it must not outlive this test, whatever happens.
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer input.Close()
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		number, err := strconv.ParseInt(lines.Text(), 10, 64)
		if err != nil {
			printed = append(printed, lines.Text())
			continue
		}
		if acknowledged = append(acknowledged, number); len(acknowledged) == kill {
			if err := command.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := command.Wait(); err != nil && kill == 0 {
		t.Fatalf("the child ended with %v after printing %q", err, printed)
	}
	return acknowledged, printed
}

// wantNumbered wants every acknowledged commit to be in the store, whole.
func wantNumbered(t *testing.T, s state.Store, acknowledged []int64, size int) {
	t.Helper()
	for _, i := range acknowledged {
		entry, err := s.Get(t.Context(), numbered(i))
		if err != nil || string(entry.Value) != string(numberedValue(i, size)) {
			t.Fatalf("commit %d was acknowledged and is not there: %v", i, err)
		}
	}
	entries, _, err := s.List(t.Context(), "n/")
	if err != nil || len(entries) == 0 {
		t.Fatalf("list: %d entries, %v", len(entries), err)
	}
	latest, err := s.Get(t.Context(), "latest")
	if last := entries[len(entries)-1]; err != nil || numbered(atoi(t, latest.Value)) != last.Key || latest.Revision != last.Revision {
		t.Errorf("half a commit: the newest key is %s, latest says %s (%v)", last.Key, latest.Value, err)
	}
}

func atoi(t *testing.T, text []byte) int64 {
	t.Helper()
	number, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return number
}
