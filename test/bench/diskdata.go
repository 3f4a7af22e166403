package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// What a disk that is converted holds: as much text, noise and zeros, in runs
// of 1 to 16 MiB, as make about 2 GiB, on 6 GiB.
const (
	diskSize = 6 << 30
	diskData = 2 << 30
)

// makeDisk makes a raw disk of a size with a mixed content of so many bytes, the same every time.
func makeDisk(name string, size, data int64) error {
	text, err := someText()
	if err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), scatter(f, text, size, data), f.Close())
}

// scatter writes the runs.
func scatter(f *os.File, text []byte, size, data int64) error {
	rng := rand.New(rand.NewPCG(1, 2))
	noise := rand.NewChaCha8([32]byte{1})
	read := 0
	var off int64
	for written := int64(0); written < data && off < size-64<<20; {
		run := make([]byte, 1<<(20+rng.IntN(5)))
		switch rng.IntN(3) {
		case 0:
			if read+len(run) > len(text) {
				read = rng.IntN(1 << 20)
			}
			copy(run, text[read:])
			read += len(run)
		case 1:
			_, _ = noise.Read(run)
		}
		if _, err := f.WriteAt(run, off); err != nil {
			return err
		}
		written += int64(len(run))
		off += int64(len(run)) + []int64{0, 0, 0, 8 << 20, 24 << 20}[rng.IntN(5)]
	}
	return f.Sync()
}

// someText is the text that every machine with Go has: its library's source.
func someText() ([]byte, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	err = filepath.WalkDir(filepath.Join(strings.TrimSpace(string(root)), "src"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || !strings.HasSuffix(path, ".go") {
			return err
		}
		content, err := os.ReadFile(path)
		text.Write(content)
		return err
	})
	if err == nil && text.Len() < 32<<20 {
		err = fmt.Errorf("there is too little text below %s", root)
	}
	return text.Bytes(), err
}

// makeHuge makes a raw disk of 10 TiB with 64 small pieces of data on it.
func makeHuge(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	for i := range int64(64) {
		if _, err := f.WriteAt([]byte("little"), i*160<<30); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return errors.Join(f.Truncate(10<<40), f.Close())
}
