package keycommand_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/panalvm/panal/internal/keycommand"
)

func TestWhatCommandsGive(t *testing.T) {
	for command, want := range map[string]string{
		"echo horse; echo battery":            "horse",
		"printf horse":                        "horse",
		`printf 'horse\r\nbattery'`:           "horse",
		"cat":                                 "typed",
		"true":                                "the first line of the key command's output is empty",
		"echo; echo horse":                    "the first line of the key command's output is empty",
		"echo horse; exit 3":                  "the key command: exit status 3",
		"kill -9 $$":                          "the key command: signal: killed",
		"/nowhere/to-be-found":                "the key command: exit status 127",
		"head -c 4000 /dev/zero | tr '\\0' x": "longer than a passphrase can be, which is 512 bytes",
		"echo horse; head -c 99999 /dev/zero; exit 0": "horse",
	} {
		for _, apart := range []bool{false, true} {
			line, err := keycommand.Run(t.Context(), command, keycommand.Options{Within: time.Minute, Stdin: strings.NewReader("typed\n"), Apart: apart})
			if got := fmt.Sprint(string(line), err); !strings.Contains(got, want) {
				t.Errorf("%s, apart %v: %s", command, apart, got)
			}
			if err != nil && strings.Contains(err.Error(), "horse") {
				t.Errorf("%s: the error tells the passphrase: %v", command, err)
			}
		}
	}
}

// A command that hangs is killed with all that it has started, and that is said.
func TestHangingCommandsAreKilled(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	command := fmt.Sprintf("mkfifo %s.wait; (echo $$ > %[1]s; cat %[1]s.wait) & cat %[1]s.wait", pid)
	_, err := keycommand.Run(t.Context(), command, keycommand.Options{Within: time.Second, Apart: true})
	if err == nil || !strings.Contains(err.Error(), "did not end within 1s, and was killed") {
		t.Fatal(err)
	}
	text, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	group, err := strconv.Atoi(string(bytes.TrimSpace(text)))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range processesOf(t, group) {
		t.Errorf("%s is left", p)
	}
}

// processesOf are the processes of a group that have not ended.
func processesOf(t *testing.T, group int) (alive []string) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if state := fields[0]; fields[2] == strconv.Itoa(group) && state != "Z" && state != "X" {
			alive = append(alive, string(text))
		}
	}
	return alive
}

func TestCancelledCommandsEnd(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if _, err := keycommand.Run(ctx, "cat", keycommand.Options{Within: time.Minute}); err == nil || err.Error() != "enough" {
		t.Error(err)
	}
}
