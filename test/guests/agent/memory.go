//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
)

// held is the memory that requests have filled and that is kept until it is let go.
var held struct {
	mu     sync.Mutex // guards what follows
	pieces [][]byte
}

// pieceSize is what memory is taken from the kernel in.
const pieceSize = 16 << 20

// hold fills so many MiB of memory and keeps them: hold MIB [SEED]. No two pages are
// equal; with the same seed another guest has the same ones.
func hold(args []string) (string, error) {
	if len(args) < 1 {
		return "", errors.New("want: hold MIB [SEED]")
	}
	mib, err := strconv.ParseInt(args[0], 10, 64)
	seed := int64(1)
	if err == nil && len(args) > 1 {
		seed, err = strconv.ParseInt(args[1], 10, 64)
	}
	if err != nil {
		return "", err
	}
	held.mu.Lock()
	defer held.mu.Unlock()
	for left := mib << 20; left > 0; left -= pieceSize {
		piece, err := syscall.Mmap(-1, 0, int(min(left, pieceSize)), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANONYMOUS)
		if err != nil {
			return "", fmt.Errorf("%d MiB were not to be had: %w", left>>20, err)
		}
		for at := 0; at < len(piece); at += os.Getpagesize() {
			binary.NativeEndian.PutUint64(piece[at:], uint64(seed))
			binary.NativeEndian.PutUint64(piece[at+8:], uint64(left)<<16+uint64(at))
		}
		held.pieces = append(held.pieces, piece)
	}
	return "", nil
}

// letGo gives back all that was held.
func letGo([]string) (string, error) {
	held.mu.Lock()
	defer held.mu.Unlock()
	var errs []error
	for _, piece := range held.pieces {
		errs = append(errs, syscall.Munmap(piece))
	}
	held.pieces = nil
	return "", errors.Join(errs...)
}
