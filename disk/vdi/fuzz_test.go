package vdi_test

import (
	"testing"

	"github.com/panalvm/panal/disk/disktest"
)

func FuzzOpen(f *testing.F) {
	seeds := [][]byte{
		built{version: 1, kind: 1, block: 4096, size: 16384, blocks: []uint32{1, nothing, zero, 0}, used: 2, id: 1, modified: 2, data: places(4096, 9, 7)}.bytes(),
		built{version: 0x00010001, kind: 1, block: 4096, extra: 512, size: 8192, blocks: []uint32{1, 0}, used: 2, id: 1, modified: 2, plus: true, data: places(4608, 5, 6)}.bytes(),
	}
	for _, p := range chainOf() {
		seeds = append(seeds, p)
	}
	disktest.Fuzz(f, formats, seeds...)
}

func FuzzOperations(f *testing.F) { disktest.FuzzOps(f, subject("dynamic")) }
