// Package harness gives tests the real program in a world of its own: the panal
// binary as users get it, and a [Home] with its data, its runtime directory, its
// socket and its guests, which it looks through for what a test has left behind.
package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// Panal builds the program, once in a test's process, and returns its path. It
// is removed by [Clean].
var Panal = sync.OnceValues(build)

func build() (string, error) {
	root, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	dir, err := os.MkdirTemp("", "panal-built")
	if err != nil {
		return "", err
	}
	// Tests run it as other users, too.
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	program := filepath.Join(dir, "panal")
	compile := exec.Command("go", "build", "-o", program, "./cmd/panal")
	compile.Dir = filepath.Dir(strings.TrimSpace(string(root)))
	compile.Env = append(os.Environ(), "CGO_ENABLED=0")
	if words, err := compile.CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("build panal: %w: %s", err, words), os.RemoveAll(dir))
	}
	return program, nil
}

// Clean removes the program that Panal has built.
func Clean() {
	if program, err := Panal(); err == nil {
		_ = os.RemoveAll(filepath.Dir(program))
	}
}

// Path is PATH with the program's directory, and with the directories of
// administrators' programs, which a user's PATH may lack.
func Path(program string) string {
	return strings.Join([]string{filepath.Dir(program), os.Getenv("PATH"), "/usr/sbin", "/sbin"}, string(os.PathListSeparator))
}
